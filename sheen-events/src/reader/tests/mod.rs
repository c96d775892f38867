//! The reader's side: its parser at every split, its follower rule by rule, and both against a model.

mod follower;
mod hostile;
mod model;
mod polling;
mod rig;
mod sse;
