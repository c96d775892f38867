//! Who is calling a worker.
