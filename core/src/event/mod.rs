//! The canonical event.

/// One event; leaves point into its record.
#[derive(Clone, Debug, Default)]
pub struct Event<'r> {
    _record: std::marker::PhantomData<&'r ()>,
}

/// Takes the events of a record, in order.
pub type Emit<'e, 'r> = dyn FnMut(Event<'r>) + 'e;
