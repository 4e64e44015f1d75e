//! Every policy is explained by the binary: its page, with every rule and what becomes of it.

use ovncilium_policy_host::BUILTINS;

use crate::judge::catalog;
use crate::program::{root, run};

#[test]
fn every_policy_is_explained_by_its_page() {
    let described: Vec<_> = catalog().describe().into_iter().map(Result::unwrap).collect();
    assert_eq!(described.len(), BUILTINS.len());
    let list = run(&["explain"], b"", &[]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for policy in described {
        let page = std::fs::read_to_string(root().join(format!("docs/checks/{}.md", policy.id))).unwrap();
        assert!(
            list.lines().any(|line| line.starts_with(&format!("{} ", policy.id)) && line.contains(&policy.title)),
            "{list}"
        );
        for rule in &policy.rules {
            let id = format!("{}/{}", policy.id, rule.id);
            let told = run(&["explain", &id], b"", &[]);
            assert_eq!((told.code, String::from_utf8_lossy(&told.stdout).as_ref()), (0, page.as_str()), "explain {id}");
            assert!(page.contains(&format!("| `{}` | {} |", rule.id, rule.severity)), "{id} is not on its page");
            assert!(rule.help.len() > 40 && !rule.title.is_empty(), "{id} says neither why nor what to do");
        }
    }
    let nobody = run(&["explain", "no-such-policy"], b"", &[]);
    assert_eq!(nobody.code, 2, "{}", nobody.stderr);
}
