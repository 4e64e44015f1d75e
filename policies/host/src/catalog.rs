//! Which modules are expected: the built-in ones, and the organisation's own.
//!
//! The list of built-in policies is fixed. One that is not there is a fault ([`FaultKind::Missing`]): nothing switches a
//! built-in policy off in silence. They can be read from a directory instead of the binary ([`Catalog::builtin_from`]).

use std::borrow::Cow;
use std::sync::OnceLock;

use ovncilium_core::Digest;
use ovncilium_core::digest::ParseDigestError;
use ovncilium_core::policy::FaultKind;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Info;
use crate::bindings::PolicyModulePre;
use crate::cache::CompiledCache;
use crate::config::{PolicyConfig, Waiver, no_settings};
use crate::documents::{self, DocumentSource};
use crate::engine;
use crate::guest::Guest;
use crate::in_place::OnPages;
use crate::limits::Limits;
use crate::module::{self, Source};
use crate::precompile::Precompiled;
use crate::session::Session;
use crate::trouble::Trouble;

/// A built-in module as this binary holds it.
pub(crate) struct Embedded {
    pub(crate) id: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Its code, compiled ahead of time; none in a binary that is no release.
    code: &'static Precompiled,
    /// Scopes it wants: one that is not asked is not even loaded. A test holds them to what the module says.
    scopes: &'static [&'static str],
    /// Kinds without which it has nothing to say of a stream, if there are any: then it is not loaded for one that holds none of
    /// them. A test holds that it would have said nothing.
    kinds: &'static [&'static str],
}

macro_rules! builtins {
    ($($id:literal: $scopes:expr $(, of $($kinds:literal),+)?;)*) => {
        /// Ids of the built-in policies, in the order they are asked.
        pub const BUILTINS: &[&str] = &[$($id),*];

        pub(crate) static EMBEDDED: &[Embedded] = &[$(Embedded {
            id: $id,
            bytes: include_bytes!(concat!("../../dist/", $id, ".wasm")),
            code: {
                static CODE: OnPages<[u8; include_bytes!(concat!(env!("OUT_DIR"), "/", $id, ".code")).len()]> =
                    OnPages(*include_bytes!(concat!(env!("OUT_DIR"), "/", $id, ".code")));
                static PRECOMPILED: Precompiled = Precompiled::new(&CODE);
                &PRECOMPILED
            },
            scopes: &$scopes,
            kinds: &[$($($kinds),+)?],
        }),*];
    };
}

builtins! {
    "helm-version": ["cluster"];
    "node-kernel": ["cluster"];
    "service-provider": ["cluster"];
    "kube-ovn-load-balancer": ["cluster"];
    "kube-ovn-network-policy": ["cluster"];
    "cni-conf-order": ["cluster"];
    "address-plan": ["cluster"];
    "chart-chaining": ["stream"];
    "owner": ["cluster"];
    "kube-ovn-health": ["cluster"];
    "permissions": ["cluster"];
    "ip-family": ["cluster"];
    "veth-only": ["cluster"];
    "multus-pin": ["cluster"];
    "nat-gateway": ["cluster"];
    "l7-policy-void": ["cluster", "stream"], of "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy";
}

/// `policies/dist/digests.json`, written by `cargo xtask policies`.
#[derive(Debug, Clone, Deserialize)]
struct Digests {
    modules: Vec<BuiltModule>,
}

#[derive(Debug, Clone, Deserialize)]
struct BuiltModule {
    id: String,
    sha256: Digest,
}

impl Digests {
    fn of(&self, id: &str) -> Option<Digest> {
        self.modules.iter().find(|module| module.id == id).map(|module| module.sha256)
    }
}

/// One expected module.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Id of a built-in policy; of others the file.
    pub(crate) name: String,
    /// The id it must tell.
    pub(crate) expected: Option<String>,
    pub(crate) bytes: Result<Cow<'static, [u8]>, Trouble>,
    pub(crate) digest: Option<Digest>,
    pin: Option<Digest>,
    pub(crate) mutate: bool,
    pub(crate) settings: Value,
    scopes: Option<&'static [&'static str]>,
    kinds: &'static [&'static str],
    /// Code that is part of the binary.
    embedded: Option<&'static Precompiled>,
    compiled: OnceLock<Result<PolicyModulePre<Guest>, Trouble>>,
}

impl Entry {
    fn new(name: &str, bytes: Result<Cow<'static, [u8]>, Trouble>) -> Self {
        Self {
            name: name.to_owned(),
            expected: None,
            bytes,
            digest: None,
            pin: None,
            mutate: false,
            settings: no_settings(),
            scopes: None,
            kinds: &[],
            embedded: None,
            compiled: OnceLock::new(),
        }
    }

    /// Whether it may have something to say when these scopes are asked about.
    pub(crate) fn may_speak(&self, asked: &[&str], documents: Option<&dyn DocumentSource>) -> bool {
        let Some(scopes) = self.scopes else { return true };
        let wants = |of: [&str; 2]| scopes.iter().any(|scope| of.contains(scope) && asked.contains(scope));
        let finds = |documents| self.kinds.is_empty() || documents::may_hold(self.kinds, documents);
        wants(["cluster", "node"]) || (wants(["document", "stream"]) && documents.is_some_and(finds))
    }

    /// Its code, compiled once per catalog.
    pub(crate) fn code(&self, cache: &CompiledCache) -> Result<&PolicyModulePre<Guest>, Trouble> {
        let compile = || {
            let bytes = self.bytes.as_ref().map_err(Clone::clone)?;
            module::check_size(bytes.len())?;
            let digest = self.digest.unwrap_or_else(|| Digest::of(bytes));
            let engine = engine::engine()?;
            let source = Source { bytes, digest: &digest, pin: self.pin.as_ref(), embedded: self.embedded };
            module::load(engine, &source, cache)
        };
        self.compiled.get_or_init(compile).as_ref().map_err(Clone::clone)
    }
}

/// What a module says about itself, for `explain` and `policy inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Scopes it wants.
    pub scopes: Vec<String>,
    /// Facts it may ask for.
    pub facts: Vec<String>,
    /// Its rules.
    pub rules: Vec<DescribedRule>,
    /// JSON Schema of its settings.
    pub settings_schema: Option<String>,
}

/// One rule of [`Described`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedRule {
    /// Its id.
    pub id: String,
    /// What holds, in the positive.
    pub title: String,
    /// Its weight.
    pub severity: ovncilium_core::policy::Severity,
    /// Why it matters and how to fix it.
    pub help: String,
}

/// The expected modules with their settings, and the waivers.
#[derive(Clone, Default)]
pub struct Catalog {
    pub(crate) entries: Vec<Entry>,
    pub(crate) waivers: Vec<Waiver>,
    pub(crate) config: Option<Digest>,
    pub(crate) cache: CompiledCache,
}

impl Catalog {
    /// No modules at all, which judges nothing: the gate stays shut.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The built-in modules of this binary.
    pub fn builtin() -> Self {
        let digests: Option<Digests> = serde_json::from_str(include_str!("../../dist/digests.json")).ok();
        let entries = EMBEDDED.iter().map(|embedded| Entry {
            expected: Some(embedded.id.to_owned()),
            // The binary vouches for its own bytes: the digest was written when they were built, and CI compares it.
            digest: digests.as_ref().and_then(|d| d.of(embedded.id)).or_else(|| Some(Digest::of(embedded.bytes))),
            scopes: Some(embedded.scopes),
            kinds: embedded.kinds,
            embedded: Some(embedded.code),
            ..Entry::new(embedded.id, Ok(Cow::Borrowed(embedded.bytes)))
        });
        Self { entries: entries.collect(), ..Self::default() }
    }

    /// The built-in policies read from a directory (`--policy-dir`). `load` gives the content of a file of it
    /// (`digests.json`, `<id>.wasm`), none when there is no such file. Each must have the digest written there.
    pub fn builtin_from(load: impl Fn(&str) -> Result<Option<Vec<u8>>, String>) -> Self {
        let remedy = "fill the directory with `cargo xtask policies`, or leave out --policy-dir to use the modules of this binary";
        let missing = |message: String| Trouble::new(FaultKind::Missing, message, remedy);
        let digests = match load("digests.json") {
            Ok(Some(bytes)) => serde_json::from_slice::<Digests>(&bytes)
                .map_err(|error| missing(format!("digests.json of the policy directory cannot be read: {error}"))),
            Ok(None) => Err(missing("the policy directory has no digests.json".to_owned())),
            Err(error) => Err(missing(format!("digests.json of the policy directory cannot be read: {error}"))),
        };
        let entry = |id: &&str| {
            let file = format!("{id}.wasm");
            let pin = match &digests {
                Ok(digests) => digests.of(id),
                Err(trouble) => {
                    return Entry { expected: Some((*id).to_owned()), ..Entry::new(id, Err(trouble.clone())) };
                }
            };
            let bytes = match (load(&file), pin) {
                (Ok(Some(bytes)), Some(_)) => Ok(Cow::Owned(bytes)),
                (Ok(Some(_)), None) => {
                    Err(missing(format!("digests.json of the policy directory does not name `{id}`")))
                }
                (Ok(None), _) => Err(missing(format!("the policy directory has no {file}"))),
                (Err(error), _) => Err(missing(format!("{file} of the policy directory cannot be read: {error}"))),
            };
            let digest = bytes.as_ref().ok().map(Digest::of);
            Entry { expected: Some((*id).to_owned()), digest, pin, ..Entry::new(id, bytes) }
        };
        Self { entries: BUILTINS.iter().map(entry).collect(), ..Self::default() }
    }

    /// With a module of the organisation (`--policy FILE`, `--policy FILE@sha256:…`): binary, or WAT text. `name` is
    /// what to call it until it tells its id.
    #[must_use]
    pub fn with_module(mut self, bytes: impl Into<Vec<u8>>, name: impl AsRef<str>, pin: Option<Digest>) -> Self {
        let bytes = bytes.into();
        let digest = Some(Digest::of(&bytes));
        self.entries.push(Entry { digest, pin, ..Entry::new(name.as_ref(), Ok(Cow::Owned(bytes))) });
        self
    }

    /// With a module of the organisation that could not be read: a fault, for policies that are expected but not there.
    #[must_use]
    pub fn with_absent(mut self, name: impl AsRef<str>, why: impl Into<String>) -> Self {
        let remedy = "give the path of a policy module that can be read";
        let trouble = Trouble::new(FaultKind::Missing, format!("its file cannot be read: {}", why.into()), remedy);
        self.entries.push(Entry::new(name.as_ref(), Err(trouble)));
        self
    }

    /// Takes the module of a policy away; it stays expected, and so becomes a fault.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        for entry in self.entries.iter_mut().filter(|entry| entry.expected.as_deref() == Some(id) || entry.name == id) {
            let remedy = "use a complete build of ovncilium";
            entry.bytes = Err(Trouble::new(FaultKind::Missing, "the module is not there", remedy));
            entry.digest = None;
            entry.compiled = OnceLock::new();
        }
        self
    }

    /// With the modules, settings and waivers of a policy file.
    #[must_use]
    pub fn with_config(mut self, config: PolicyConfig) -> Self {
        for (id, settings) in config.settings {
            for entry in self.entries.iter_mut().filter(|entry| entry.expected.as_deref() == Some(id.as_str())) {
                entry.settings.clone_from(&settings);
            }
        }
        for module in config.modules {
            self = match module.bytes {
                Ok(bytes) => self.with_module(bytes, &module.file, module.sha256),
                Err(why) => self.with_absent(&module.file, why),
            };
            if let Some(entry) = self.entries.last_mut() {
                entry.expected = module.id;
                entry.settings = module.settings;
                entry.mutate = module.mutate;
            }
        }
        self.waivers.extend(config.waivers);
        self.config = config.digest.or(self.config);
        self
    }

    /// With compiled code kept there.
    #[must_use]
    pub fn with_cache(mut self, cache: CompiledCache) -> Self {
        self.cache = cache;
        self
    }

    /// Names and digests of all modules that are there, for plans and reports.
    pub fn digests(&self) -> Vec<(String, Digest)> {
        self.entries.iter().filter_map(|entry| Some((entry.name.clone(), entry.digest?))).collect()
    }

    /// One digest over the modules, their settings, what they may do, and the waivers: the same catalog gives the
    /// same one.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        for entry in &self.entries {
            let digest = entry.digest.map_or_else(|| "absent".to_owned(), |digest| digest.to_string());
            text.push_str(&format!("{} {digest} {} {}\n", entry.name, entry.mutate, entry.settings));
        }
        for waiver in &self.waivers {
            text.push_str(&format!("{waiver:?}\n"));
        }
        Digest::of(text)
    }

    /// The bytes of the organisation's own modules by name: they travel with a plan, so that any machine can resume.
    pub fn own_modules(&self) -> Vec<(String, Vec<u8>)> {
        let own = self.entries.iter().filter(|entry| !BUILTINS.contains(&entry.name.as_str()));
        own.filter_map(|entry| Some((entry.name.clone(), entry.bytes.as_ref().ok()?.to_vec()))).collect()
    }

    /// What each module says about itself; a module that cannot be loaded or does not say gives its fault.
    pub fn describe(&self) -> Vec<Result<Described, ovncilium_core::policy::Fault>> {
        let one = |entry: &Entry| {
            let told: Result<Info, Trouble> = entry
                .code(&self.cache)
                .and_then(|code| Session::start(engine::engine()?, code, Limits::default())?.describe());
            told.map(|info| described(info, entry.digest.unwrap_or_else(|| Digest::of(""))))
                .map_err(|trouble| trouble.of(&entry.name, entry.digest))
        };
        self.entries.iter().map(one).collect()
    }
}

fn described(info: Info, digest: Digest) -> Described {
    let rules = info.rules.into_iter().map(|rule| DescribedRule {
        id: rule.id,
        title: rule.title,
        severity: rule.severity,
        help: rule.help,
    });
    Described {
        id: info.id,
        version: info.version,
        title: info.title,
        digest,
        scopes: info.scopes.into_iter().collect(),
        facts: info.facts,
        rules: rules.collect(),
        settings_schema: info.settings_schema,
    }
}

/// Splits `FILE@sha256:…` into file and pin; without a pin the whole is the file.
///
/// # Errors
/// When what follows `@sha256:` is no digest.
pub fn split_pin(argument: &str) -> Result<(&str, Option<Digest>), ParseDigestError> {
    match argument.rfind("@sha256:") {
        Some(at) => Ok((&argument[..at], Some(argument[at + 1..].parse()?))),
        None => Ok((argument, None)),
    }
}
