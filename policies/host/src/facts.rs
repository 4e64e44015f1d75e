//! Facts as modules get them: written as JSON when they are asked for, field by field, and once for all modules of a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ovncilium_core::facts::{FactAnswer, Facts, NAMES};

use crate::pointer;

/// An answer in JSON, nothing, or why it is not known.
pub(crate) type Answer = Result<Option<Arc<str>>, String>;

/// Answers by the fact's name, and the field if it is not the whole.
type Written = BTreeMap<(String, Option<String>), Answer>;

/// The facts of a run, and what of them was written so far.
#[derive(Debug, Clone)]
pub(crate) struct SharedFacts {
    facts: Arc<Facts>,
    written: Arc<Mutex<Written>>,
}

impl SharedFacts {
    pub(crate) fn new(facts: &Arc<Facts>) -> Self {
        Self { facts: Arc::clone(facts), written: Arc::default() }
    }

    /// What `pointer`, which is empty or begins with `/`, points at in the fact `name`.
    pub(crate) fn at(&self, name: &str, pointer: &str) -> Answer {
        let Some(steps) = pointer.strip_prefix('/') else { return self.write(name, None) };
        let (field, rest) = steps.split_at(steps.find('/').unwrap_or(steps.len()));
        let Some(text) = self.write(name, Some(&pointer::unescaped(field)))? else { return Ok(None) };
        Ok(if rest.is_empty() { Some(text) } else { pointer::at(&text, rest).map(Arc::from) })
    }

    fn write(&self, name: &str, field: Option<&str>) -> Answer {
        let key = (name.to_owned(), field.map(str::to_owned));
        // Nothing panics while it is held.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.entry(key).or_insert_with(|| self.answer(name, field)).clone()
    }

    fn answer(&self, name: &str, field: Option<&str>) -> Answer {
        match self.facts.answer(name, field) {
            FactAnswer::Json(json) => Ok(Some(json.into())),
            FactAnswer::Nothing => Ok(None),
            FactAnswer::Unknown(why) => Err(why),
            FactAnswer::NoSuchFact => Err(format!("this version has no fact `{name}`; it has {}", NAMES.join(", "))),
        }
    }
}
