//! Foreign and missing policy modules: what denies stops everything, what cannot judge never agrees.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use super::{
    Stage,
    program::{Output, repository, temporary, write},
    teller::Teller,
    town::Town,
};
use crate::{
    error::{Error, Result},
    verdict::expect,
};

/// What the program may take where a module never ends. The module's own limit is ten seconds; the rest is what reading a cluster takes
/// while all stories begin at the same time. That the limit is kept to is tested in `policies/host`, by what was spent.
const MOST: Duration = Duration::from_secs(60);

/// Plays on a cluster where nothing has begun; `common` names chart and helm.
pub(super) fn play(stage: &Stage<'_>, town: &Town, common: &[&str], tell: &Teller) {
    let migrate = |rest: &[&str]| -> Result<Output> {
        town.quietly(|| town.call(stage.program, &[&["migrate", "--yes"], common, rest].concat())?.run())
    };
    let hostile = |name: &str| repository().join("policies/hostile").join(name).to_string_lossy().into_owned();
    tell.run("a_module_that_denies_stops_the_migration", || {
        migrate(&["--policy", &hostile("deny.wat")])?.ended_with(&[3]).map(drop)
    });
    for (name, module) in [("loops", "loop.wat"), ("traps", "trap.wat"), ("takes_all_memory", "allocate.wat")] {
        tell.run(&format!("a_module_that_{name}_agrees_to_nothing"), || {
            let output = migrate(&["--policy", &hostile(module)])?.ended_with(&[4])?;
            tell.note(&format!("{module} was stopped after {:.1} s", output.took.as_secs_f64()));
            expect(output.took < MOST, || format!("it took {:?}", output.took))
        });
    }
    tell.run("a_module_that_is_not_wasm_agrees_to_nothing", || {
        let dir = temporary()?;
        let file = dir.path().join("text.wasm");
        write(&file, "this is no module")?;
        migrate(&["--policy", &file.to_string_lossy()])?.ended_with(&[4])?.names(&["text.wasm"]).map(drop)
    });
    tell.run("a_module_with_another_digest_agrees_to_nothing", || {
        let pinned = format!("{}@sha256:{}", hostile("deny.wat"), "0".repeat(64));
        migrate(&["--policy", &pinned])?.ended_with(&[4])?.names(&["deny.wat", "sha256"]).map(drop)
    });
    tell.run("a_policy_file_with_an_unknown_key_is_refused", || {
        let dir = temporary()?;
        let file = dir.path().join("policies.yaml");
        write(&file, "apiVersion: ovncilium.io/v1\nnonsense: true\n")?;
        migrate(&["--config", &file.to_string_lossy()])?.ended_with(&[2])?.names(&["policies.yaml"]).map(drop)
    });
    tell.run("check_names_the_digest_of_every_module_that_judged", || {
        let args = [&["check", "-o", "json"], common].concat();
        let output = town.quietly(|| town.call(stage.program, &args)?.run())?.ended_with(&[0])?;
        let shown = output.json()?;
        let built = digests()?;
        // Policies over documents have nothing to judge in a cluster.
        let judged: Vec<_> =
            built.iter().filter(|(id, digest)| names_both(&shown, id, digest)).map(|(id, _)| id).collect();
        let all_but_documents = judged.len() + 1 >= built.len() && judged.iter().any(|id| *id == "node-kernel");
        expect(all_but_documents, || format!("only {judged:?} are shown with the digests of {built:?}\n{shown:#}"))
    });
    tell.run("check_does_not_pass_without_a_built_in_module", || {
        let dir = temporary()?;
        copy(&repository().join("policies/dist"), dir.path(), "node-kernel.wasm")?;
        let path = dir.path().to_string_lossy();
        let args = [&["check", "--policy-dir", &path], common].concat();
        let output = town.quietly(|| town.call(stage.program, &args)?.run())?;
        output.ended_with(&[4])?.names(&["node-kernel"]).map(drop)
    });
}

/// Id and digest of every built-in module, as built.
fn digests() -> Result<Vec<(String, String)>> {
    let path = repository().join("policies/dist/digests.json");
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let value: Value = serde_json::from_str(&text).map_err(Error::json("policies/dist/digests.json"))?;
    let modules = value["modules"].as_array().into_iter().flatten();
    let text = |module: &Value, field: &str| module[field].as_str().unwrap_or_default().to_owned();
    let all: Vec<_> = modules.map(|module| (text(module, "id"), text(module, "sha256"))).collect();
    expect(all.len() >= 8, || format!("only {} modules are built in", all.len()))?;
    Ok(all)
}

/// Whether some object in `value` has both texts among its fields.
fn names_both(value: &Value, id: &str, digest: &str) -> bool {
    let has = |fields: &serde_json::Map<String, Value>, text: &str| fields.values().any(|field| field == text);
    match value {
        Value::Object(fields) => {
            (has(fields, id) && has(fields, digest)) || fields.values().any(|field| names_both(field, id, digest))
        }
        Value::Array(list) => list.iter().any(|one| names_both(one, id, digest)),
        _ => false,
    }
}

/// Copies the files of a directory but one.
fn copy(from: &Path, to: &Path, without: &str) -> Result<()> {
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let path = entry.map_err(Error::io("read", from))?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_file() && name != without {
            fs::copy(&path, to.join(name)).map_err(Error::io("copy", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_counts_only_beside_its_policy() {
        let shown = json!({"modules": [{"id": "a", "sha256": "1"}, {"id": "b", "sha256": "2"}]});
        assert!(names_both(&shown, "a", "1"));
        assert!(!names_both(&shown, "a", "2"));
    }
}
