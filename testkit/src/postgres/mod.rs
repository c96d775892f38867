//! A private PostgreSQL server, and a fresh database for each test.

mod database;
mod server;

pub use database::{TestDatabase, URL_VARIABLE, postgres};
pub use server::{Durability, INSTALL, PostgresServer, StartError};
