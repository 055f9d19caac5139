//! One folder a vendor.

pub mod okta;
