//! A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, on loopback or for a [`crate::lab`].
//!
//! On loopback nodes are objects that a test makes; nothing runs on them unless the test says so through the API.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    api::Api,
    audit::{self, Audit, Tail},
    error::{Error, Result},
    kubectl::Kubectl,
    objects::{Snapshot, diff},
    pki::Pki,
    process::{Guard, Process, StateDir},
    tools::Tools,
    users::Access,
    wait::{self, Seen},
};

/// The range of Service addresses that Kube-OVN's installers assume.
pub const SERVICE_RANGE: &str = "10.96.0.0/12";
const FIRST_SERVICE_ADDRESS: &str = "10.96.0.1";

/// On a loaded machine the first start takes much longer than the four seconds it takes alone.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A free port can be taken by someone else before our process binds it.
const ATTEMPTS: usize = 3;

/// What to start with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Users to make besides `admin`: the name is the one that the audit log will show.
    pub users: Vec<(String, Access)>,
    /// Where the API server listens. Real kubelets reach it at an address that is not loopback, and then a node that goes quiet is
    /// found out as in any cluster.
    pub address: Ipv4Addr,
}

impl Default for Options {
    /// `operator`, the person at the keyboard, and `actors`, who play kubelets and Cilium; both may do everything.
    fn default() -> Self {
        let users = ["operator", "actors"].map(|name| (name.to_owned(), Access::ClusterAdmin)).into();
        Self { users, address: Ipv4Addr::LOCALHOST }
    }
}

/// A running control plane. Dropping it ends its processes and removes its directory.
pub struct ControlPlane {
    // Fields are dropped in this order: clients before servers, the guard before what it would kill, the directory last.
    api: Api,
    _guard: Guard,
    scheduler: Process,
    controller_manager: Process,
    apiserver: Process,
    etcd: Process,
    pki: Pki,
    server: String,
    kubectl: PathBuf,
    kubeconfigs: BTreeMap<String, PathBuf>,
    markers: Cell<u32>,
    state: StateDir,
}

impl ControlPlane {
    /// Starts everything and waits until objects can be made and controllers work on them.
    ///
    /// # Errors
    /// [`Error::Died`] or [`Error::Timeout`] with the end of the log of the process that failed.
    pub fn start(tools: &Tools, options: &Options) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::try_start(tools, options) {
                Err(Error::Died { tail, .. }) if attempt < ATTEMPTS && tail.contains("address already in use") => {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn try_start(tools: &Tools, options: &Options) -> Result<Self> {
        let state = StateDir::create()?;
        let logs = state.subdir("logs")?;
        let pki = Pki::create(state.path().join("pki"), &options.address.to_string(), FIRST_SERVICE_ADDRESS)?;
        let [client_port, peer_port, api_port] = free_ports()?;
        let server = format!("https://{}:{api_port}", options.address);

        let mut etcd = Process::start("etcd", etcd(tools, state.path(), client_port, peer_port), &logs)?;
        let command = apiserver(tools, &state, &pki, options.address, client_port, api_port)?;
        let mut apiserver = Process::start("kube-apiserver", command, &logs)?;

        let mut kubeconfigs = BTreeMap::new();
        for (name, user, group) in [
            ("admin", "e2e-admin", Some("system:masters")),
            ("kube-controller-manager", "system:kube-controller-manager", None),
            ("kube-scheduler", "system:kube-scheduler", None),
        ] {
            let path = state.path().join(format!("{name}.kubeconfig"));
            pki.kubeconfig(&path, &server, user, group)?;
            kubeconfigs.insert(name.to_owned(), path);
        }
        let api = Api::from_kubeconfig(&kubeconfigs["admin"])?;
        wait_ready(&api, &mut etcd, &mut apiserver)?;

        let command = controller_manager(tools, &pki, options.address, &kubeconfigs["kube-controller-manager"]);
        let controller_manager = Process::start("kube-controller-manager", command, &logs)?;
        let command = scheduler(tools, &kubeconfigs["kube-scheduler"]);
        let scheduler = Process::start("kube-scheduler", command, &logs)?;
        let mut control_plane = Self {
            api,
            _guard: Guard::over(&[&etcd, &apiserver, &controller_manager, &scheduler])?,
            scheduler,
            controller_manager,
            apiserver,
            etcd,
            pki,
            server,
            kubectl: tools.kubectl(),
            kubeconfigs,
            markers: Cell::new(0),
            state,
        };
        control_plane.wait_for_controllers()?;
        for (name, access) in &options.users {
            control_plane.add_user(name, access)?;
        }
        Ok(control_plane)
    }

    /// Pods can be made once the controller manager has made the service account that they run as.
    fn wait_for_controllers(&mut self) -> Result<()> {
        wait::until("the controller manager has made its first service accounts", START_LIMIT, || {
            self.check_alive()?;
            Ok(match self.api.find("/api/v1/namespaces/kube-system/serviceaccounts/default")? {
                Some(_) => Seen::Ready(()),
                None => Seen::NotYet(self.controller_manager.tail()),
            })
        })
    }

    /// # Errors
    /// [`Error::Died`] when one of the processes has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        [&mut self.etcd, &mut self.apiserver, &mut self.controller_manager, &mut self.scheduler]
            .into_iter()
            .try_for_each(Process::check_alive)
    }

    /// Makes a user and gives it access; returns its kubeconfig, which [`ControlPlane::kubeconfig`] knows from then on.
    ///
    /// # Errors
    /// [`Error::Certificate`], [`Error::Io`], or [`Error::Refused`] from the API server.
    pub fn add_user(&mut self, name: &str, access: &Access) -> Result<PathBuf> {
        let path = self.state.path().join(format!("{name}.kubeconfig"));
        self.pki.kubeconfig(&path, &self.server, name, None)?;
        access.grant(&self.api, name)?;
        self.kubeconfigs.insert(name.to_owned(), path.clone());
        Ok(path)
    }

    /// The kubeconfig of `admin` or of a user that was made.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] with the names that there are.
    pub fn kubeconfig(&self, user: &str) -> Result<&Path> {
        self.kubeconfigs.get(user).map(PathBuf::as_path).ok_or_else(|| Error::UnknownUser {
            name: user.to_owned(),
            known: self.kubeconfigs.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// A kubeconfig for a client of the cluster's own: a kubelet, a proxy. It may do what its name and group are bound to.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::Io`].
    pub(crate) fn identity(&self, file: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let path = self.state.path().join(format!("{file}.kubeconfig"));
        self.pki.kubeconfig(&path, &self.server, user, group)?;
        Ok(path)
    }

    /// The certificate of the authority that signs clients.
    pub(crate) fn authority(&self) -> PathBuf {
        self.pki.path("ca.crt")
    }

    /// `https://<address>:<port>`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Where state and logs are; gone with the control plane unless `OVNCILIUM_E2E_KEEP=1`.
    pub fn dir(&self) -> &Path {
        self.state.path()
    }

    /// The API as `admin`, whose user in the audit log is `e2e-admin`.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The API as one of the users.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] or [`Error::Client`].
    pub fn api_as(&self, user: &str) -> Result<Api> {
        Api::from_kubeconfig(self.kubeconfig(user)?)
    }

    /// kubectl as `admin`.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubectl, &self.kubeconfigs["admin"])
    }

    /// kubectl as one of the users.
    ///
    /// # Errors
    /// [`Error::UnknownUser`].
    pub fn kubectl_as(&self, user: &str) -> Result<Kubectl> {
        Ok(Kubectl::new(&self.kubectl, self.kubeconfig(user)?))
    }

    /// The audit log with everything that was answered before this call.
    ///
    /// The server writes an event just after its answer, so a request of our own is sent and waited for in the log.
    ///
    /// # Errors
    /// Any error of [`Audit::read`], or [`Error::Timeout`].
    pub fn audit(&self) -> Result<Audit> {
        let number = self.markers.get() + 1;
        self.markers.set(number);
        let marker = format!("/version?e2e-marker={number}");
        self.api.get(&marker)?;
        wait::until("the audit log has caught up", Duration::from_secs(10), || {
            let audit = Audit::read(&self.audit_log())?;
            let found = audit.iter().rev().any(|event| event.uri == marker);
            Ok(if found { Seen::Ready(audit) } else { Seen::NotYet(format!("{} events", audit.len())) })
        })
    }

    /// What is added to the audit log from now on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn audit_tail(&self) -> Result<Tail> {
        Tail::of(self.audit_log())
    }

    fn audit_log(&self) -> PathBuf {
        self.state.path().join("audit.log")
    }

    /// Every object of the cluster, without what moves by itself.
    ///
    /// # Errors
    /// Any error of [`Snapshot::take`].
    pub fn objects(&self) -> Result<Snapshot> {
        Snapshot::take(&self.api)
    }

    /// The objects once nothing changes any more: controllers add to new objects (annotations, certificates) for a while.
    ///
    /// # Errors
    /// Any error of [`Snapshot::take`], or [`Error::Timeout`] with what still changed.
    pub fn settled_objects(&self) -> Result<Snapshot> {
        let mut last = self.objects()?;
        wait::until("the objects stand still", Duration::from_secs(60), || {
            let now = self.objects()?;
            let changed = diff(&last, &now);
            last = now;
            Ok(if changed.is_empty() { Seen::Ready(last.clone()) } else { Seen::NotYet(changed.join("; ")) })
        })
    }
}

fn wait_ready(api: &Api, etcd: &mut Process, apiserver: &mut Process) -> Result<()> {
    wait::until("the API server is ready", START_LIMIT, || {
        etcd.check_alive()?;
        apiserver.check_alive()?;
        Ok(match api.get_text("/readyz") {
            Ok(_) => Seen::Ready(()),
            Err(error) => Seen::NotYet(format!("{error}; {}", apiserver.tail())),
        })
    })
}

/// Ports that are free now. All are held until all are known, so they differ.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let failed = |source| Error::Spawn { program: "a listener on 127.0.0.1".into(), source };
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

fn etcd(tools: &Tools, dir: &Path, client: u16, peer: u16) -> Command {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    let mut command = Command::new(tools.etcd());
    command
        .args(["--name=e2e", "--unsafe-no-fsync", "--log-level=warn"])
        .arg(format!("--data-dir={}", dir.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=e2e={peer}"));
    command
}

fn apiserver(tools: &Tools, state: &StateDir, pki: &Pki, address: Ipv4Addr, etcd: u16, port: u16) -> Result<Command> {
    let policy = state.path().join("audit-policy.yaml");
    fs::write(&policy, audit::POLICY).map_err(Error::io("write", &policy))?;
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.path(name).display());
    let mut command = Command::new(tools.kube_apiserver());
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
        .arg(format!("--secure-port={port}"))
        .args([format!("--bind-address={address}"), format!("--advertise-address={address}")])
        .args(["--kubelet-preferred-address-types=InternalIP,Hostname"])
        // A loopback address is refused as an endpoint of the kubernetes Service.
        .arg(format!("--endpoint-reconciler-type={}", if address.is_loopback() { "none" } else { "lease" }))
        .arg(format!("--service-cluster-ip-range={SERVICE_RANGE}"))
        .args([
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ])
        .args([file("client-ca-file", "ca.crt"), file("tls-cert-file", "apiserver.crt")])
        .arg(file("tls-private-key-file", "apiserver.key"))
        .arg(file("kubelet-client-certificate", "apiserver-kubelet-client.crt"))
        .arg(file("kubelet-client-key", "apiserver-kubelet-client.key"))
        .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
        .args([file("service-account-key-file", "sa.pub"), file("service-account-signing-key-file", "sa.key")])
        .arg(file("requestheader-client-ca-file", "front-proxy-ca.crt"))
        .args([
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ])
        .args(["--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User"])
        .args([file("proxy-client-cert-file", "front-proxy-client.crt")])
        .args([file("proxy-client-key-file", "front-proxy-client.key")])
        .arg(format!("--audit-policy-file={}", policy.display()))
        .arg(format!("--audit-log-path={}", state.path().join("audit.log").display()))
        // Blocking: the event is in the file soon after the answer. One file, never rotated.
        .args(["--audit-log-mode=blocking", "--audit-log-maxsize=4096", "--v=1"]);
    Ok(command)
}

fn controller_manager(tools: &Tools, pki: &Pki, address: Ipv4Addr, kubeconfig: &Path) -> Command {
    let mut command = Command::new(tools.kube_controller_manager());
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={}", kubeconfig.display()));
    }
    for (flag, name) in [
        ("root-ca-file", "ca.crt"),
        ("service-account-private-key-file", "sa.key"),
        ("cluster-signing-cert-file", "ca.crt"),
        ("cluster-signing-key-file", "ca.key"),
    ] {
        command.arg(format!("--{flag}={}", pki.path(name).display()));
    }
    command
        // Port 0: serves nothing, so it needs no port.
        .args(["--secure-port=0", "--leader-elect=false", "--use-service-account-credentials=true"])
        .args(["--allocate-node-cidrs=false", "--kube-api-qps=500", "--kube-api-burst=1000", "--v=1"]);
    if address.is_loopback() {
        // Nobody renews the leases of pretend nodes on time on a loaded machine; they do not fail unless a test says so.
        command.args(["--node-monitor-grace-period=30m", "--node-monitor-period=1s"]);
    }
    command
}

fn scheduler(tools: &Tools, kubeconfig: &Path) -> Command {
    let mut command = Command::new(tools.kube_scheduler());
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={}", kubeconfig.display()));
    }
    command.args(["--secure-port=0", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000", "--v=1"]);
    command
}
