//! `launch.sh`, run as Helm runs it: it starts the program that fits, and tells of one that does not where people read it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are outside of #[test] functions")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// A file that is being written cannot be started, and a process that another test starts meanwhile keeps it open.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A plugin's folder and a home directory, and what Helm sets.
struct Plugin {
    _alone: MutexGuard<'static, ()>,
    dir: TempDir,
    name: &'static str,
    more_path: Option<PathBuf>,
}

impl Plugin {
    fn new(name: &'static str) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        for folder in ["plugin", "home/.local/bin"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("ovncilium-post-renderer/launch.sh");
        fs::copy(launcher, dir.path().join("plugin/launch.sh")).unwrap();
        Self { _alone: alone, dir, name, more_path: None }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn file(&self, file: &str, content: &[u8]) -> PathBuf {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        self.helm(&self.path("plugin/launch.sh")).args(args).output().unwrap()
    }

    /// A program with what Helm sets for a plugin.
    fn helm(&self, program: &Path) -> Command {
        let own = self.path("home/.local/bin");
        let more = self.more_path.clone().unwrap_or_else(|| "/usr/bin".into());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:{}:/usr/bin:/bin", more.display(), own.display()))
            .env("HOME", self.path("home"))
            .env("HELM_PLUGIN_NAME", self.name)
            .env("HELM_PLUGIN_DIR", self.path("plugin"));
        command
    }

    /// Ends with 9 and this cause, and nothing on stdout; the whole text.
    fn refuses(&self, args: &[&str], cause: &str) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(9), 0), "{text}");
        assert!(text.contains(cause), "{text}");
        text
    }
}

/// The head of a program for another machine than this.
fn foreign() -> Vec<u8> {
    let mut bytes = fs::read("/bin/sh").unwrap()[..64].to_vec();
    bytes[18] = if bytes[18] == 62 { 183 } else { 62 };
    bytes
}

const SAYS_ITS_ARGUMENTS: &[u8] = b"#!/bin/sh\nprintf '%s,' \"$@\"\nexit 7\n";

#[test]
fn the_program_beside_it_gets_the_arguments_and_gives_its_exit_code() {
    let mut plugin = Plugin::new("ovncilium");
    plugin.file("plugin/kubectl-ovncilium", SAYS_ITS_ARGUMENTS);
    plugin.file("elsewhere/kubectl-ovncilium", b"#!/bin/sh\necho wrong\n");
    plugin.more_path = Some(plugin.path("elsewhere"));
    let output = plugin.run(&["check", "a b", ""]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), b"check,a b,,".as_slice()));
}

#[test]
fn without_one_it_takes_the_program_on_path() {
    let mut plugin = Plugin::new("ovncilium");
    plugin.file("elsewhere/kubectl-ovncilium", SAYS_ITS_ARGUMENTS);
    plugin.more_path = Some(plugin.path("elsewhere"));
    assert_eq!(plugin.run(&["post-render"]).stdout, b"post-render,");
}

#[test]
fn a_real_program_of_this_machine_is_started() {
    let plugin = Plugin::new("ovncilium");
    fs::copy("/bin/sh", plugin.path("plugin/kubectl-ovncilium")).unwrap();
    assert_eq!(plugin.run(&["-c", "exit 5"]).status.code(), Some(5));
}

#[test]
fn a_missing_program_is_named_with_what_to_do() {
    let plugin = Plugin::new("ovncilium");
    let folder = plugin.path("plugin").display().to_string();
    let expected = format!(
        "ovncilium: the plugin has no program

  there is no kubectl-ovncilium in {folder}, and none on PATH

stopped: nothing was installed or changed (exit code 9)
next: install a package of this plugin that holds it (docs/post-renderer.md), or put kubectl-ovncilium on PATH
"
    );
    assert_eq!(plugin.refuses(&["check"], "no program"), expected);
}

#[test]
fn a_program_that_does_not_fit_is_named_with_what_it_is() {
    let arch = std::env::consts::ARCH;
    let other = if arch == "x86_64" { "aarch64" } else { "x86_64" };
    let mut riscv = foreign();
    riscv[18] = 243;
    for (content, cause) in [
        (foreign(), format!("is for {other}, this is Linux {arch}")),
        (riscv, format!("is for another architecture, this is Linux {arch}")),
        (vec![0xcf, 0xfa, 0xed, 0xfe], format!("is for another system, this is Linux {arch}")),
        (Vec::new(), format!("is for another system, this is Linux {arch}")),
    ] {
        let plugin = Plugin::new("ovncilium");
        plugin.file("plugin/kubectl-ovncilium", &content);
        let text = plugin.refuses(&["check"], &cause);
        assert!(text.contains("\nnext: install the package for this machine, or remove "), "{text}");
    }
    let plugin = Plugin::new("ovncilium");
    let file = plugin.file("plugin/kubectl-ovncilium", SAYS_ITS_ARGUMENTS);
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    plugin.refuses(&["check"], "is not executable");
}

#[test]
fn behind_helm_4_the_reason_is_in_the_report_as_well() {
    let plugin = Plugin::new("ovncilium-post-renderer");
    let text = plugin.refuses(&["post-render"], "no program");
    let report = plugin.path("home/.local/state/ovncilium/post-render-report.txt");
    assert_eq!(fs::read_to_string(&report).unwrap(), text);
    assert_eq!(fs::metadata(report).unwrap().permissions().mode() & 0o777, 0o600);
    drop(plugin);
    // `helm ovncilium` has a stderr of its own.
    let plugin = Plugin::new("ovncilium");
    plugin.refuses(&["post-render"], "no program");
    assert!(!plugin.path("home/.local/state").exists());
}

#[test]
fn behind_helm_4_the_reason_reaches_helms_own_stderr_where_nothing_can_be_overwritten() {
    let plugin = Plugin::new("ovncilium-post-renderer");
    let file = plugin.path("stderr");
    // Helm 4: a process with a stderr of its own that throws the plugin's away. In the foreground dash changes its own meanwhile.
    let helm4 = format!("{} post-render 2>/dev/null & wait $!", plugin.path("plugin/launch.sh").display());
    for (append, told) in [(true, true), (false, false)] {
        let stderr = File::options().create(true).write(true).append(append).open(&file).unwrap();
        let status = plugin.helm(Path::new("/bin/sh")).args(["-c", &helm4]).stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(9));
        assert_eq!(fs::read_to_string(&file).unwrap().contains("no program"), told, "append: {append}");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn after_an_installation_the_post_renderer_is_on_path_once() {
    let plugin = Plugin::new("ovncilium");
    let program = plugin.file("plugin/kubectl-ovncilium", SAYS_ITS_ARGUMENTS);
    let link = plugin.path("home/.local/bin/ovncilium-post-renderer");
    let told = format!("Helm 3 finds `--post-renderer ovncilium-post-renderer` as {}", link.display());
    // A link of an earlier installation that leads nowhere does not stay.
    symlink(plugin.path("gone"), &link).unwrap();
    for _ in 0..2 {
        let output = plugin.run(&["--hook"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains(&told), "{text}");
        assert_eq!(fs::read_link(&link).unwrap(), program);
    }
}

#[test]
fn a_post_renderer_that_is_another_program_stays_and_is_named() {
    let plugin = Plugin::new("ovncilium");
    plugin.file("plugin/kubectl-ovncilium", SAYS_ITS_ARGUMENTS);
    let other = plugin.file("home/.local/bin/ovncilium-post-renderer", b"#!/bin/sh\n");
    let output = plugin.run(&["--hook"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("Helm 3 would run {}, which is another program", other.display())), "{text}");
    assert_eq!(fs::read(other).unwrap(), b"#!/bin/sh\n");
}
