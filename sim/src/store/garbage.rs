//! Background deletion of objects whose owners are all gone.

use ovncilium_core::plan::Resource;
use serde_json::Value;

use super::{Store, User, WriteRecord};
use crate::objects;

impl Store {
    /// One round of the garbage collector: objects that name owners of which none exists any more are deleted.
    pub fn collect_garbage(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.removed.is_empty() {
            return;
        }
        let removed = std::mem::take(&mut inner.removed);
        let orphaned = |value: &Value| {
            let owners = objects::list(value, "/metadata/ownerReferences");
            !owners.is_empty() && owners.iter().all(|owner| removed.contains(objects::text(owner, "/uid")))
        };
        let orphans: Vec<(Resource, String, String)> = inner
            .objects
            .iter()
            .flat_map(|(kind, all)| all.values().map(move |value| (*kind, value)))
            .filter(|(_, value)| orphaned(value) && !objects::deleting(value))
            .map(|(kind, value)| (kind, objects::namespace(value).to_owned(), objects::name(value).to_owned()))
            .collect();
        for (kind, namespace, name) in orphans {
            let object = kind.named(&namespace, &name);
            inner.delete(&object, None, false);
            let time = inner.now;
            let request = Value::Null;
            inner.log.push(WriteRecord { time, user: User::Actors, verb: "delete", object, request, refused: None });
        }
    }
}
