//! What tests of this crate and of others need; not part of the product.

pub mod journal;
