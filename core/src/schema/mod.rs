//! Schemas: an event becomes a document.
