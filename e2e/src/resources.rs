//! What kinds of objects the API server has, by discovery.

use serde::Deserialize;

use crate::{
    api::Api,
    error::{Error, Result},
};

/// One kind of object at the version its group prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl Resource {
    /// `v1`, or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods`, or `deployments.apps`.
    pub fn id(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The path of the whole list.
    pub fn list_path(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.api_version(), self.plural)
    }

    /// The path under which objects of this namespace are created.
    pub fn collection_path(&self, namespace: &str) -> String {
        if !self.namespaced {
            return self.list_path();
        }
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/namespaces/{namespace}/{}", self.api_version(), self.plural)
    }

    /// The path of one object; the namespace counts only where the kind has one.
    pub fn object_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection_path(namespace))
    }
}

/// Every kind of the server, without subresources.
#[derive(Debug, Clone)]
pub struct Resources(Vec<Resource>);

#[derive(Deserialize)]
struct GroupList {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    preferred_version: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

impl Resources {
    /// Asks the server; nothing is remembered between calls, so new CRDs are seen.
    ///
    /// # Errors
    /// Any error of [`Api::get`], or [`Error::Json`].
    pub fn discover(api: &Api) -> Result<Self> {
        let groups: GroupList = read(api, "/apis")?;
        let core = Group { name: String::new(), preferred_version: Version { version: "v1".into() } };
        let mut all = Vec::new();
        for Group { name: group, preferred_version: Version { version } } in std::iter::once(core).chain(groups.groups)
        {
            let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            let list: ResourceList = read(api, &path)?;
            all.extend(list.resources.into_iter().filter(|entry| !entry.name.contains('/')).map(|entry| Resource {
                group: group.clone(),
                version: version.clone(),
                plural: entry.name,
                kind: entry.kind,
                namespaced: entry.namespaced,
                verbs: entry.verbs,
            }));
        }
        Ok(Self(all))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter()
    }

    /// # Errors
    /// [`Error::UnknownKind`].
    pub fn find(&self, api_version: &str, kind: &str) -> Result<&Resource> {
        self.iter()
            .find(|resource| resource.kind == kind && resource.api_version() == api_version)
            .ok_or_else(|| Error::UnknownKind { api_version: api_version.into(), kind: kind.into() })
    }
}

fn read<T: for<'de> Deserialize<'de>>(api: &Api, path: &str) -> Result<T> {
    serde_json::from_value(api.get(path)?).map_err(Error::json(format!("the discovery document {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(group: &str, plural: &str, namespaced: bool) -> Resource {
        Resource {
            group: group.into(),
            version: "v1".into(),
            plural: plural.into(),
            kind: "K".into(),
            namespaced,
            verbs: Vec::new(),
        }
    }

    #[test]
    fn paths_have_a_namespace_only_where_the_kind_has_one() {
        assert_eq!(resource("", "nodes", false).object_path("x", "n1"), "/api/v1/nodes/n1");
        assert_eq!(resource("", "pods", true).object_path("x", "p"), "/api/v1/namespaces/x/pods/p");
        assert_eq!(resource("apps", "deployments", true).list_path(), "/apis/apps/v1/deployments");
        assert_eq!(resource("apps", "deployments", true).id(), "deployments.apps");
    }
}
