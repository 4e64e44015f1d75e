//! Whether the plugin that Helm runs us for is of our own version: an older program behind a newer plugin misses its policies.

use std::path::Path;

use ovncilium_core::ExitCode;

use crate::{Environment, Trouble};

/// Our plugins; both carry the version of the program.
const PLUGINS: [&str; 2] = ["ovncilium", "ovncilium-post-renderer"];

/// The trouble when Helm runs us for a plugin of ours (`HELM_PLUGIN_NAME`, `HELM_PLUGIN_DIR`) whose `plugin.yaml` names another
/// version than `ours`. `read` gives the text of a file; one that cannot be read names no version.
pub fn other_version(ours: &str, environment: &Environment, read: impl Fn(&Path) -> Option<String>) -> Option<Trouble> {
    let name = environment.get("HELM_PLUGIN_NAME").filter(|name| PLUGINS.contains(name))?;
    let file = Path::new(environment.get("HELM_PLUGIN_DIR")?).join("plugin.yaml");
    let text = read(&file)?;
    let plugin = text.lines().find_map(|line| line.strip_prefix("version:"))?.trim().trim_matches(['"', '\'']);
    (plugin != ours).then(|| Trouble {
        message: format!("the plugin {name} is {plugin} ({}), the program is {ours}", file.display()),
        exit: ExitCode::Refused,
        next: format!(
            "install plugin and program of one version: `helm plugin uninstall {name}`, then install it again"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, yaml: Option<&str>) -> Option<String> {
        let variables = [("HELM_PLUGIN_NAME", name), ("HELM_PLUGIN_DIR", "/p")];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let environment = Environment { variables, ..Environment::default() };
        let read = |path: &Path| {
            assert_eq!(path, Path::new("/p/plugin.yaml"));
            yaml.map(str::to_owned)
        };
        other_version("0.2.0", &environment, read).map(|trouble| trouble.message)
    }

    #[test]
    fn a_plugin_of_another_version_is_named_with_both_versions() {
        let told = "the plugin ovncilium is 0.1.0 (/p/plugin.yaml), the program is 0.2.0";
        for yaml in ["name: ovncilium\nversion: 0.1.0\n", "version: \"0.1.0\"\nname: ovncilium\n"] {
            assert_eq!(found("ovncilium", Some(yaml)).as_deref(), Some(told));
        }
        assert!(found("ovncilium-post-renderer", Some("version: 0.1.0\n")).is_some());
    }

    #[test]
    fn the_same_version_foreign_plugins_and_unreadable_files_are_no_trouble() {
        assert_eq!(found("ovncilium", Some("version: 0.2.0\n")), None);
        assert_eq!(found("secrets", Some("version: 0.1.0\n")), None);
        assert_eq!(found("ovncilium", None), None);
        assert_eq!(other_version("0.2.0", &Environment::default(), |_| Some("version: 0.1.0".to_owned())), None);
    }
}
