//! Raw API objects by kind, and whether the list of a kind is complete.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::Resource;

/// The objects of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// All there are.
    Complete(Vec<Value>),
    /// Some of them: what is not in it is unknown (manifests).
    Partial(Vec<Value>),
    /// The API server does not serve the kind: there are none.
    NotServed,
    /// Could not be read, and why.
    Unreadable(String),
}

/// Raw API objects by kind.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Listings by resource.
    pub listings: BTreeMap<Resource, Listing>,
}

impl Inventory {
    /// All objects of a kind.
    ///
    /// # Errors
    /// Why the list is not complete.
    pub fn all(&self, resource: Resource) -> Result<&[Value], String> {
        match self.listings.get(&resource) {
            Some(Listing::Complete(objects)) => Ok(objects),
            Some(Listing::NotServed) => Ok(&[]),
            Some(Listing::Partial(_)) => Err(format!("{} are only known as far as the manifests go", resource.plural)),
            Some(Listing::Unreadable(reason)) => Err(format!("{} could not be read: {reason}", resource.plural)),
            None => Err(format!("{} were not read", resource.plural)),
        }
    }

    /// The objects of a kind that are known, complete or not.
    pub fn some(&self, resource: Resource) -> &[Value] {
        match self.listings.get(&resource) {
            Some(Listing::Complete(objects) | Listing::Partial(objects)) => objects,
            _ => &[],
        }
    }
}
