//! The URL of a PostgreSQL, and how its connections are kept from others' eyes.
//!
//! `sslmode` is stricter than PostgreSQL's own programs take it: wherever TLS is asked for, the server's
//! certificate and name are checked. `sslrootcert` names the file of the authorities that count, in place
//! of the system's. No error repeats the URL, which may hold a password.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use postgres::{Client, Config, NoTls, config::SslMode};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a connection is made.
#[derive(Clone)]
pub(super) enum Wire {
    /// As it is, for the same machine or a network of one's own.
    Plain,
    /// By TLS.
    Tls(MakeRustlsConnect),
}

impl Wire {
    pub(super) fn connect(&self, config: &Config) -> Result<Client, postgres::Error> {
        match self {
            Wire::Plain => config.connect(NoTls),
            Wire::Tls(tls) => config.connect(tls.clone()),
        }
    }
}

/// Reads a URL.
pub(super) fn read(url: &str) -> Result<(Config, Wire)> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    anyhow::ensure!(known, "a database is named as postgres://user:password@host/name");
    let (start, settings) = url.split_once('?').unwrap_or((url, ""));
    let (mut is_encrypted, mut authorities, mut rest) = (false, None, Vec::new());
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        match setting.split_once('=') {
            Some(("sslmode", "disable" | "allow" | "prefer")) => is_encrypted = false,
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => is_encrypted = true,
            Some(("sslmode", _)) => bail!("sslmode is disable, require or verify-full"),
            Some(("sslrootcert", path)) => authorities = Some(path),
            Some(_) | None => rest.push(setting),
        }
    }
    let plain = format!("{start}?{}", rest.join("&"));
    let mut config: Config = plain.parse().ok().context("the database's URL is not one of PostgreSQL's")?;
    if !is_encrypted {
        config.ssl_mode(SslMode::Disable);
        return Ok((config, Wire::Plain));
    }
    config.ssl_mode(SslMode::Require);
    Ok((config, Wire::Tls(MakeRustlsConnect::new(tls(authorities)?))))
}

fn tls(authorities: Option<&str>) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS could not be set up")?;
    let Some(path) = authorities else {
        let trusting =
            builder.with_platform_verifier().context("the system's authorities could not be read")?;
        return Ok(trusting.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    let unreadable = || format!("could not read the certificates of {path}");
    for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
    }
    anyhow::ensure!(!roots.is_empty(), "{path} holds no certificate");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use rekursing_tests_postgres::{Kind, Server};

    use super::super::{Postgres, Row};

    fn refusal(url: &str) -> String {
        format!("{:#}", Postgres::connect(url).err().unwrap())
    }

    #[test]
    fn tls_is_spoken_where_it_is_asked_for_and_to_the_right_server_alone() {
        let server = Server::start(Kind::Encrypted).unwrap();
        let url = server.database().unwrap();
        let is_encrypted = |url: &str| {
            let mut answers = Vec::new();
            let mut postgres = Postgres::connect(url).unwrap();
            let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            let mut take = |row: &Row| {
                answers.push(row.number(0)?);
                Ok(())
            };
            postgres.each(sql, &[], &mut take).unwrap();
            answers == [1]
        };
        let authority = server.certificate().display().to_string();
        assert!(!is_encrypted(&url));
        for mode in ["require", "verify-full"] {
            assert!(is_encrypted(&format!("{url}?sslmode={mode}&sslrootcert={authority}")), "{mode}");
            let unknown = refusal(&format!("{url}?sslmode={mode}"));
            assert!(unknown.contains("certificate"), "nobody vouches for this server: {unknown}");
        }
        let other = url.replace("127.0.0.1", "127.0.0.2");
        let renamed = refusal(&format!("{other}?sslmode=require&sslrootcert={authority}"));
        assert!(renamed.contains("could not connect"), "{renamed}");
        assert!(refusal(&format!("{url}?sslmode=maybe")).contains("sslmode is"));
        assert!(refusal(&format!("{url}?sslmode=require&sslrootcert=/dev/null")).contains("no certificate"));
    }

    #[test]
    fn no_refusal_repeats_a_password() {
        for url in [
            "postgres://ada:open-sesame@127.0.0.1:1/books",
            "postgres://ada:open-sesame@127.0.0.1:port/books",
            "postgres://ada:open-sesame@127.0.0.1:1/books?sslmode=require",
            "postgres://ada:open-sesame@127.0.0.1:1/books?unknown=open-sesame",
            "postgre://ada:open-sesame@127.0.0.1/books",
            "host=127.0.0.1 password=open-sesame",
        ] {
            let text = refusal(url);
            assert!(!text.contains("sesame"), "{text}");
        }
    }
}
