//! Tickets: each lets one plugin resume one session, and takes the session from the socket that has it.

use rekursing_protocol::PluginId;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use crate::chance;

/// What is kept of a session's token, and the way to the socket that has the session.
#[derive(Debug)]
pub struct Ticket {
    plugin: PluginId,
    /// SHA-256 of the token.
    token: [u8; 32],
    /// The same of the token before, until the plugin has shown that it has this one: it may have been lost
    /// together with the socket that it was sent on.
    former: Option<[u8; 32]>,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

/// A socket's part of a ticket. Whoever resumes the session waits until it is dropped.
#[derive(Debug)]
pub struct Hold {
    stop: oneshot::Receiver<()>,
    _stopped: oneshot::Sender<()>,
}

/// A ticket that was used.
#[derive(Debug)]
pub struct Used([u8; 32]);

impl Ticket {
    /// Makes a ticket. Returns it with the token that opens it, and the part of the socket that is to have the
    /// session.
    pub fn new(plugin: PluginId, former: Option<Used>) -> (Ticket, String, Hold) {
        let secret = chance::secret("");
        let (stop, stopping) = oneshot::channel();
        let (stopped_sender, stopped) = oneshot::channel();
        let token = chance::digest(&secret);
        let former = former.map(|Used(hash)| hash);
        let ticket = Ticket { plugin, token, former, stop, stopped };
        (ticket, secret, Hold { stop: stopping, _stopped: stopped_sender })
    }

    /// Tells whether this plugin may resume the session with this token.
    pub fn opens(&self, plugin: PluginId, token: &str) -> bool {
        let given = chance::digest(token);
        let is_former = self.former.is_some_and(|former| bool::from(given.ct_eq(&former)));
        self.plugin == plugin && (bool::from(given.ct_eq(&self.token)) || is_former)
    }

    /// Notes that the plugin has this ticket's token.
    pub fn confirm(&mut self) {
        self.former = None;
    }

    /// Makes the socket let go of the session, and returns once it has.
    pub async fn take_over(self, token: &str) -> Used {
        // A socket that is gone already has let go.
        let _ = self.stop.send(());
        let _ = self.stopped.await;
        Used(chance::digest(token))
    }
}

impl Hold {
    /// Completes when another socket takes the session over.
    pub async fn taken_over(&mut self) {
        if (&mut self.stop).await.is_err() {
            // The session has ended, which its socket hears otherwise.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: PluginId = PluginId::from_bits(1);

    #[tokio::test]
    async fn a_token_opens_its_own_ticket_for_its_own_plugin() {
        let (ticket, token, _hold) = Ticket::new(PLUGIN, None);
        assert!(ticket.opens(PLUGIN, &token));
        assert!(!ticket.opens(PluginId::from_bits(2), &token));
        assert!(!ticket.opens(PLUGIN, "") && !ticket.opens(PLUGIN, &token[1..]));
        let (other, ..) = Ticket::new(PLUGIN, None);
        assert!(!other.opens(PLUGIN, &token));
    }

    #[tokio::test]
    async fn the_token_before_serves_until_the_new_one_has_arrived() {
        let (first, token, hold) = Ticket::new(PLUGIN, None);
        drop(hold);
        let used = first.take_over(&token).await;
        let (mut second, newer, _hold) = Ticket::new(PLUGIN, Some(used));
        assert!(second.opens(PLUGIN, &token) && second.opens(PLUGIN, &newer));
        second.confirm();
        assert!(!second.opens(PLUGIN, &token) && second.opens(PLUGIN, &newer));
    }

    #[tokio::test]
    async fn a_session_is_taken_over_once_its_socket_has_let_go() {
        let (ticket, token, mut hold) = Ticket::new(PLUGIN, None);
        let taking = tokio::spawn(async move { ticket.take_over(&token).await });
        hold.taken_over().await;
        assert!(!taking.is_finished());
        drop(hold);
        taking.await.unwrap();
    }
}
