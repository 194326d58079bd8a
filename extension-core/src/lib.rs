//! extension-core
