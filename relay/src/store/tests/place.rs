//! Where a test's database is: every test of the store runs on both.

use rekursing_tests_postgres::Server;
use tempfile::TempDir;

use crate::store::Location;

/// An empty database of a test's own.
pub(super) struct Place {
    pub(super) location: Location,
    /// SQLite's folder goes with the test; PostgreSQL's databases go with their server.
    _folder: Option<TempDir>,
}

impl Place {
    pub(super) fn sqlite() -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place { location: Location::Folder(folder.path().to_owned()), _folder: Some(folder) }
    }

    pub(super) fn postgres() -> Place {
        Place::on(Server::shared().unwrap())
    }

    pub(super) fn on(server: &Server) -> Place {
        Place { location: Location::Postgres(server.database().unwrap()), _folder: None }
    }

    /// Returns another empty database of the same kind.
    pub(super) fn another(&self) -> Place {
        if self.is_sqlite() { Place::sqlite() } else { Place::postgres() }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.location, Location::Folder(_))
    }
}

/// Makes two tests of each: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($promise:ident,)*) => {
        mod sqlite {
            $(#[test] fn $promise() { super::$promise(&super::Place::sqlite()) })*
        }
        mod postgres {
            $(#[test] fn $promise() { super::$promise(&super::Place::postgres()) })*
        }
    };
}
pub(super) use on_both;
