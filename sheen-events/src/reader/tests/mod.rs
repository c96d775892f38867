mod follower;
mod model;
mod sse;
