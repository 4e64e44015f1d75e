//! What a policy says about itself.

/// What a policy says about itself; written as a chain of builders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Kebab-case id: `node-kernel`.
    pub id: String,
    /// Version: `0.1.0`.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Scopes it wants to be asked about.
    pub scopes: Vec<ScopeKind>,
    /// Facts it may ask for.
    pub facts: Vec<String>,
    /// Documents it wants in [`ScopeKind::Document`].
    pub selectors: Vec<Selector>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// JSON Schema of its settings.
    pub settings_schema: Option<String>,
}

impl Info {
    /// A policy with this id, version and title and nothing else yet.
    pub fn new(id: impl Into<String>, version: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            version: version.into(),
            title: title.into(),
            scopes: Vec::new(),
            facts: Vec::new(),
            selectors: Vec::new(),
            rules: Vec::new(),
            settings_schema: None,
        }
    }

    /// Wants to be asked about this scope.
    #[must_use]
    pub fn scope(mut self, scope: ScopeKind) -> Self {
        self.scopes.push(scope);
        self
    }

    /// May ask for this fact.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>) -> Self {
        self.facts.push(name.into());
        self
    }

    /// Wants documents that this selector selects.
    #[must_use]
    pub fn selector(mut self, selector: Selector) -> Self {
        self.selectors.push(selector);
        self
    }

    /// Has this rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Takes settings of this JSON Schema.
    #[must_use]
    pub fn settings_schema(mut self, schema: impl Into<String>) -> Self {
        self.settings_schema = Some(schema.into());
        self
    }
}

/// Kinds of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    /// Once, for the cluster.
    Cluster,
    /// Once per node.
    Node,
    /// Once per selected document.
    Document,
    /// Once, for the stream.
    Stream,
}

impl ScopeKind {
    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Node => "node",
            Self::Document => "document",
            Self::Stream => "stream",
        }
    }
}

/// How much a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Closes the gate when it fails or is unknown.
    Error,
    /// Told with emphasis.
    Warning,
    /// Told.
    Info,
}

impl Severity {
    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Kebab-case id, never reused for something else.
    pub id: String,
    /// What holds, in the positive.
    pub title: String,
    /// Its weight.
    pub severity: Severity,
    /// Why it matters and how to fix it.
    pub help: String,
}

impl Rule {
    fn new(severity: Severity, id: impl Into<String>, title: impl Into<String>) -> Self {
        Self { id: id.into(), title: title.into(), severity, help: String::new() }
    }

    /// A rule that closes the gate.
    pub fn error(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self::new(Severity::Error, id, title)
    }

    /// A rule that is told with emphasis.
    pub fn warning(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, title)
    }

    /// A rule that is told.
    pub fn info(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self::new(Severity::Info, id, title)
    }

    /// Why it matters and how to fix it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Selects the documents a policy may read; all conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// API group; empty for the core group, `*` for any.
    pub api_group: String,
    /// Kinds; empty for any.
    pub kinds: Vec<String>,
    /// Namespaces; empty for any.
    pub namespaces: Vec<String>,
}

impl Selector {
    /// Documents of this kind in any namespace.
    pub fn kind(api_group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_group: api_group.into(), kinds: vec![kind.into()], namespaces: Vec::new() }
    }

    /// Every document.
    pub fn any() -> Self {
        Self { api_group: "*".to_owned(), kinds: Vec::new(), namespaces: Vec::new() }
    }

    /// Whether a document with this header is selected.
    pub fn selects(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        (self.api_group == "*" || self.api_group == group)
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k == kind))
            && (self.namespaces.is_empty() || self.namespaces.iter().any(|n| Some(n.as_str()) == namespace))
    }
}
