//! Where a test's database is: what keeps money is tested on both.

use rekursing_tests_postgres::Server;
use tempfile::TempDir;

use crate::store::Location;

/// An empty database of a test's own.
pub(crate) struct Place {
    pub(crate) location: Location,
    /// SQLite's folder goes with the test; PostgreSQL's databases go with their server.
    _folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place { location: Location::Folder(folder.path().to_owned()), _folder: Some(folder) }
    }

    pub(crate) fn postgres() -> Place {
        Place::on(Server::shared().unwrap())
    }

    pub(crate) fn on(server: &Server) -> Place {
        Place { location: Location::Postgres(server.database().unwrap()), _folder: None }
    }

    /// Returns another empty database of the same kind.
    pub(crate) fn another(&self) -> Place {
        if self.is_sqlite() { Place::sqlite() } else { Place::postgres() }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.location, Location::Folder(_))
    }
}

/// Does something on a thread of its own: PostgreSQL is not to be waited for on one that serves sockets.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Makes two tests of each: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($promise:ident,)*) => {
        mod sqlite {
            $(#[test] fn $promise() { super::$promise(&$crate::place::Place::sqlite()) })*
        }
        mod postgres {
            $(#[test] fn $promise() { super::$promise(&$crate::place::Place::postgres()) })*
        }
    };
}

/// The same of promises that wait.
macro_rules! on_both_waiting {
    ($($promise:ident,)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::place::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::place::aside($crate::place::Place::postgres)).await;
            })*
        }
    };
}

pub(crate) use {on_both, on_both_waiting};
