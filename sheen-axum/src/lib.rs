//! A worker over HTTP.
