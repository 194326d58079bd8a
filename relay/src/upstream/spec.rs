//! What the operator says of an upstream.

use rekursing_protocol::{Gpu, Nanos, Price, Pricing, name, object::object};
use serde::{Deserialize, Serialize};

/// The body of `POST /api/gpu/register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// A name that pages see.
    pub name: String,
    /// The server's address, `http://…` or `https://…`, without `/v1`.
    pub url: String,
    /// The server's API token, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The GPU.
    #[serde(default, deserialize_with = "object")]
    pub gpu_info: GpuInfo,
    /// What it serves.
    #[serde(default, deserialize_with = "object")]
    pub capabilities: Capabilities,
    /// What it costs.
    #[serde(default, deserialize_with = "object")]
    pub pricing: Tariff,
}

/// The GPU of an upstream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpuInfo {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its memory in megabytes, for the record.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Its cores, for the record.
    #[serde(default)]
    pub cores: Option<u64>,
}

/// What an upstream serves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// The models to offer; empty for all that it lists.
    #[serde(default)]
    pub models: Vec<String>,
    /// Jobs at once, 1 if left out.
    #[serde(default)]
    pub max_concurrent_streams: Option<u16>,
}

/// What an upstream costs. Left out, the relay's default ask holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tariff {
    /// Dollars per token, prompt and answer alike.
    #[serde(default)]
    pub per_token: Option<serde_json::Number>,
    /// Dollars per hour in which one answer is made, where there is no price per token: what a token
    /// costs follows from the measured speed.
    #[serde(default)]
    pub per_hour: Option<serde_json::Number>,
}

impl Spec {
    /// Checks and tidies what was given. The error names the field and what it must be.
    pub fn check(mut self) -> Result<Spec, (&'static str, &'static str)> {
        let printable = name::is_plain(&self.name);
        if self.name.trim().is_empty() || self.name.chars().count() > 60 || !printable {
            return Err(("name", "a name has 1 to 60 printable characters"));
        }
        let url = reqwest::Url::parse(&self.url).ok();
        let plain = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !plain {
            return Err(("url", "url is an http:// or https:// address without user, query or fragment"));
        }
        let trimmed = self.url.trim_end_matches('/');
        self.url = trimmed.strip_suffix("/v1").unwrap_or(trimmed).to_owned();
        if self.token.as_ref().is_some_and(|token| token.len() > 500 || !token.is_ascii()) {
            return Err(("token", "a token is an ASCII text of at most 500 bytes"));
        }
        if self.capabilities.models.len() > 64 {
            return Err(("capabilities.models", "at most 64 models"));
        }
        if self.capabilities.max_concurrent_streams == Some(0) {
            return Err(("capabilities.maxConcurrentStreams", "at least 1"));
        }
        if self.pricing.per_token.is_some() && self.price().is_none() {
            return Err(("pricing.perToken", "perToken is an amount of dollars per token, 0 to 0.01"));
        }
        if self.pricing.per_hour.is_some() && self.hourly().is_none() {
            return Err(("pricing.perHour", "perHour is an amount of dollars per hour, 0 to 1000"));
        }
        Ok(self)
    }

    /// Returns the GPU as pages see it.
    pub fn gpu(&self) -> Gpu {
        let name = name::plain(&self.gpu_info.name, 80);
        Gpu { model: name.clone(), raw: name, ..Gpu::default() }
    }

    /// Tells whether a model is to be offered.
    pub fn serves(&self, model: &str) -> bool {
        self.capabilities.models.is_empty() || self.capabilities.models.iter().any(|named| named == model)
    }

    /// Returns the jobs at once.
    pub fn slots(&self) -> u16 {
        self.capabilities.max_concurrent_streams.unwrap_or(1)
    }

    /// Returns how it is priced, if it is in a way of its own: by the token, or else by the hour.
    pub fn pricing(&self) -> Option<Pricing> {
        let hourly = || self.hourly().map(|per_hour| Pricing::Hourly { per_hour });
        self.price().map(Pricing::Fixed).or_else(hourly)
    }

    /// Returns what an hour costs, if that is told.
    fn hourly(&self) -> Option<Nanos> {
        let per_hour: Nanos = decimal(self.pricing.per_hour.as_ref()?, 9)?.parse().ok()?;
        Some(per_hour).filter(|per_hour| Pricing::Hourly { per_hour: *per_hour }.is_sane())
    }

    /// Returns the price per token, if there is one.
    pub fn price(&self) -> Option<Price> {
        Price::per_token(&decimal(self.pricing.per_token.as_ref()?, 12)?).ok()
    }

    /// Adds the token to a request.
    pub fn authorize(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Writes a number of JSON as decimal text. Its shortest form is what was written; a tiny one may come with
/// an exponent and is then written with so many places.
fn decimal(number: &serde_json::Number, places: usize) -> Option<String> {
    let text = number.to_string();
    Some(if text.contains('e') { format!("{:.places$}", number.as_f64()?) } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<Spec, (&'static str, &'static str)> {
        serde_json::from_str::<Spec>(json).unwrap().check()
    }

    #[test]
    fn reads_the_documented_form() {
        let spec = spec(
            r#"{"name":"Rack 1","url":"http://10.0.0.5:8000/v1/","gpuInfo":{"name":"RTX 4090","memory":24576,
                "cores":16384},"capabilities":{"models":["m"],"maxConcurrentStreams":4},
                "pricing":{"perToken":0.00015,"perHour":0.5}}"#,
        )
        .unwrap();
        assert_eq!(spec.url, "http://10.0.0.5:8000");
        assert_eq!(spec.price(), Some(Price::new(150_000_000, 150_000_000)));
        assert_eq!(spec.slots(), 4);
        assert!(spec.serves("m") && !spec.serves("n"));
    }

    #[test]
    fn tiny_prices_are_read_exactly() {
        let with = |price: &str| {
            spec(&format!(r#"{{"name":"x","url":"http://a","pricing":{{"perToken":{price}}}}}"#))
                .map(|spec| spec.price())
        };
        assert_eq!(with("0.0000001").unwrap(), Some(Price::new(100_000, 100_000)));
        assert_eq!(with("0").unwrap(), Some(Price::new(0, 0)));
        assert_eq!(with("1").unwrap_err().0, "pricing.perToken");
        assert_eq!(with("-0.1").unwrap_err().0, "pricing.perToken");
    }

    #[test]
    fn an_hours_price_counts_where_there_is_none_per_token() {
        let with = |pricing: &str| {
            spec(&format!(r#"{{"name":"x","url":"http://a","pricing":{pricing}}}"#))
                .map(|spec| spec.pricing())
        };
        let hourly = |nanos| Some(Pricing::Hourly { per_hour: Nanos::new(nanos) });
        assert_eq!(with(r#"{"perHour":0.5}"#).unwrap(), hourly(500_000_000));
        assert_eq!(with(r#"{"perHour":1e-7}"#).unwrap(), hourly(100));
        let both = with(r#"{"perToken":0.0000001,"perHour":0.5}"#).unwrap();
        assert_eq!(both, Some(Pricing::Fixed(Price::new(100_000, 100_000))));
        assert_eq!(with("{}").unwrap(), None);
        assert_eq!(with(r#"{"perHour":-1}"#).unwrap_err().0, "pricing.perHour");
        assert_eq!(with(r#"{"perHour":1001}"#).unwrap_err().0, "pricing.perHour");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for url in ["", "ftp://x", "http://user@x", "http://x?y", "x:1", "file:///etc/passwd"] {
            let json = format!(r#"{{"name":"x","url":"{url}"}}"#);
            assert_eq!(spec(&json).unwrap_err().0, "url", "{url}");
        }
    }
}
