//! One module in one fresh store: described, configured, asked.

use std::sync::Arc;

use ovncilium_core::policy::FaultKind;
use serde_json::Value;
use wasmtime::{Engine, Store};

use crate::answer::{Info, clean};
use crate::backstop::{self, Backstop};
use crate::bindings::exports::ovncilium::policy::policy::Finding;
use crate::bindings::ovncilium::policy::types::Scope;
use crate::bindings::{PolicyModule, PolicyModulePre};
use crate::facts::SharedFacts;
use crate::guest::{DocumentValue, Guest};
use crate::limits::Limits;
use crate::trouble::{self, Trouble};

/// A module that runs.
pub(crate) struct Session {
    store: Store<Guest>,
    module: PolicyModule,
    _backstop: Backstop,
}

impl Session {
    /// A fresh store with full budgets.
    ///
    /// # Errors
    /// When the module cannot even be instantiated.
    pub(crate) fn start(
        engine: &'static Engine,
        module: &PolicyModulePre<Guest>,
        limits: Limits,
    ) -> Result<Self, Trouble> {
        let backstop = Backstop::begin(engine);
        let mut store = Store::new(engine, Guest::new(limits));
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits.output.saturating_mul(2));
        // Before instantiation: a module's start code runs under the budgets too.
        store.set_epoch_deadline(backstop::ticks(limits.time));
        store.epoch_deadline_trap();
        let module = store
            .set_fuel(limits.fuel)
            .and_then(|()| module.instantiate(&mut store))
            .map_err(|error| trouble::of_call(&error, "starting"))?;
        Ok(Self { store, module, _backstop: backstop })
    }

    /// What the module says about itself.
    ///
    /// # Errors
    /// When it does not, or says nonsense.
    pub(crate) fn describe(&mut self) -> Result<Info, Trouble> {
        let answer = self.module.ovncilium_policy_policy().call_describe(&mut self.store);
        self.fair("describing itself")?;
        Info::read(answer.map_err(|error| trouble::of_call(&error, "describing itself"))?)
    }

    /// Gives the module its settings, and from now on facts and documents.
    ///
    /// # Errors
    /// When it refuses the settings.
    pub(crate) fn configure(
        &mut self,
        settings: &Value,
        facts: SharedFacts,
        declared: &[String],
        documents: Arc<Vec<DocumentValue>>,
    ) -> Result<(), Trouble> {
        let guest = self.store.data_mut();
        guest.facts = Some(facts);
        guest.declared = declared.iter().cloned().collect();
        guest.documents = documents;
        guest.open = true;
        let answer = self.module.ovncilium_policy_policy().call_configure(&mut self.store, &settings.to_string());
        self.fair("reading its settings")?;
        let errors = match answer.map_err(|error| trouble::of_call(&error, "reading its settings"))? {
            Ok(()) => return Ok(()),
            Err(errors) => errors,
        };
        let told: Vec<_> = errors
            .iter()
            .take(20)
            .map(|error| match clean(&error.pointer, 200) {
                at if at.is_empty() => clean(&error.message, 500),
                at => format!("{at}: {}", clean(&error.message, 500)),
            })
            .collect();
        Err(Trouble::new(
            FaultKind::Settings,
            format!("it refuses its settings: {}", told.join("; ")),
            "correct its settings in the policy file (--config)",
        ))
    }

    /// Asks about one scope.
    ///
    /// # Errors
    /// When it did not judge.
    pub(crate) fn check(&mut self, scope: &Scope) -> Result<Vec<Finding>, Trouble> {
        let doing = match scope {
            Scope::Cluster => "checking the cluster".to_owned(),
            Scope::Node(name) => format!("checking node {name}"),
            Scope::Document(index) => format!("checking document {index}"),
            Scope::Stream => "checking the rendered stream".to_owned(),
        };
        let answer = self.module.ovncilium_policy_policy().call_check(&mut self.store, scope);
        self.fair(&doing)?;
        answer.map_err(|error| trouble::of_call(&error, &doing))?.map_err(|why| {
            Trouble::new(
                FaultKind::Refused,
                format!("it says that it could not judge while {doing}: {}", clean(&why, 2000)),
                "read its reason; if it does not help, report it to the module's author",
            )
        })
    }

    /// Fuel used so far.
    pub(crate) fn fuel(&self) -> u64 {
        self.store.data().limits.fuel.saturating_sub(self.store.get_fuel().unwrap_or_default())
    }

    /// Lines it logged so far; each is given once.
    pub(crate) fn log(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.store.data_mut().log)
    }

    /// Whether it asked only for what it had declared; whatever it made of a refusal, it is at fault.
    fn fair(&mut self, doing: &str) -> Result<(), Trouble> {
        match &self.store.data().undeclared {
            None => Ok(()),
            Some(what) => Err(Trouble::new(
                FaultKind::UndeclaredFact,
                format!("while {doing} it asked for something it had not declared: {}", clean(what, 200)),
                "its author must list it in `info.facts` or select it by `info.selectors`",
            )),
        }
    }
}
