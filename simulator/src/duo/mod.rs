//! The Admin API of Duo, as far as logs need it.
