//! The token that PayPal gives for the operator's credentials, kept until shortly before it ends.

use std::{fmt, sync::Mutex};

use rekursing_protocol::{Moment, Span};
use serde::Deserialize;

use crate::{
    Secret,
    http::{Endpoint, Silence, ask, clip},
};

/// How long before its end a token is not used any more.
const MARGIN: Span = Span::secs(60);

/// Where tokens come from.
pub(super) struct Tokens {
    client: String,
    secret: Secret,
    kept: Mutex<Option<(Secret, Moment)>>,
}

/// Why a request was not answered.
#[derive(Debug)]
pub(super) enum NoToken {
    /// PayPal does not take the credentials.
    Refused(String),
    /// PayPal was not reached, or gave no token: nothing was asked of it.
    Unreached(String),
    /// The request may have arrived.
    Lost(String),
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

impl Tokens {
    pub(super) fn new(client: String, secret: Secret) -> Tokens {
        Tokens { client, secret, kept: Mutex::new(None) }
    }

    /// Returns a token that is good now.
    pub(super) async fn token(&self, endpoint: &Endpoint, now: Moment) -> Result<Secret, NoToken> {
        if let Some((token, until)) = self.kept().clone()
            && now < until
        {
            return Ok(token);
        }
        let request = endpoint
            .post("/v1/oauth2/token")
            .basic_auth(&self.client, Some(self.secret.show()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        // Whatever becomes of this request, no money was asked for.
        let reply = ask(request).await.map_err(|silence| NoToken::Unreached(clip(&silence.words())))?;
        match reply.status {
            200 => {}
            400 | 401 | 403 => return Err(NoToken::Refused(reply.words())),
            _ => return Err(NoToken::Unreached(reply.words())),
        }
        let Some(granted) = reply.json::<Granted>() else {
            return Err(NoToken::Unreached("the answer holds no token".to_owned()));
        };
        let token = Secret::new(granted.access_token);
        *self.kept() = Some((token.clone(), now + Span::secs(granted.expires_in.min(86_400)) - MARGIN));
        Ok(token)
    }

    /// Forgets a token that PayPal did not take, unless another has taken its place.
    pub(super) fn forget(&self, token: &Secret) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|(held, _)| held == token) {
            *kept = None;
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<(Secret, Moment)>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl NoToken {
    /// Returns what happened.
    pub(super) fn words(self) -> String {
        match self {
            NoToken::Refused(words) | NoToken::Unreached(words) | NoToken::Lost(words) => words,
        }
    }
}

impl From<Silence> for NoToken {
    fn from(silence: Silence) -> NoToken {
        match silence {
            Silence::Unreached(words) => NoToken::Unreached(words),
            Silence::Lost(words) => NoToken::Lost(words),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}
