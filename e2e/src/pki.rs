//! The certificates of one control plane: two authorities, a serving certificate, a key for service account tokens, and users.
//!
//! All keys are ECDSA P-256. They live as long as the temporary directory and protect a loopback address.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Error, Result};

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority that signs identities.
pub(crate) struct Authority {
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let failed = |source| Error::Certificate { subject: name.to_owned(), source };
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name = subject(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// A client certificate; the API server takes the common name for the user and the organisation for the group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        self.sign(user, group, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn server(&self, names: &[&str]) -> Result<Identity> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.sign("kube-apiserver", None, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign(
        &self,
        name: &str,
        group: Option<&str>,
        alternatives: Vec<String>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        let failed = |source| Error::Certificate { subject: name.to_owned(), source };
        let mut params = CertificateParams::new(alternatives).map_err(failed)?;
        params.distinguished_name = subject(name, group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

/// The files that the processes are pointed at.
pub(crate) struct Pki {
    dir: PathBuf,
    pub(crate) ca: Authority,
}

impl Pki {
    /// Makes everything new under `dir`. The server is reached at `address` and at the first address of the Service range.
    pub(crate) fn create(dir: PathBuf, address: &str, service_address: &str) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let ca = Authority::new("e2e-ca")?;
        let front_proxy = Authority::new("e2e-front-proxy-ca")?;
        let pki = Self { dir, ca };
        pki.write("ca.crt", &pki.ca.certificate)?;
        pki.write("ca.key", &pki.ca.issuer.key().serialize_pem())?;
        pki.write("front-proxy-ca.crt", &front_proxy.certificate)?;
        let names =
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", service_address, address];
        pki.write_identity("apiserver", &pki.ca.server(&names)?)?;
        pki.write_identity("front-proxy-client", &front_proxy.client("front-proxy-client", None)?)?;
        let kubelet_client = pki.ca.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
        pki.write_identity("apiserver-kubelet-client", &kubelet_client)?;
        let tokens =
            KeyPair::generate().map_err(|source| Error::Certificate { subject: "service accounts".into(), source })?;
        pki.write("sa.key", &tokens.serialize_pem())?;
        pki.write("sa.pub", &tokens.public_key_pem())?;
        Ok(pki)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Signs a client certificate and writes a kubeconfig that uses it; the certificate stays in a file beside the others.
    pub(crate) fn kubeconfig(&self, path: &Path, server: &str, user: &str, group: Option<&str>) -> Result<()> {
        let file = format!("user-{}", user.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        self.write_identity(&file, &self.ca.client(user, group)?)?;
        // Clients read JSON as the YAML that it is.
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {"server": server, "certificate-authority": self.path("ca.crt")}}],
            "users": [{"name": user, "user": {
                "client-certificate": self.path(&format!("{file}.crt")),
                "client-key": self.path(&format!("{file}.key")),
            }}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
            "current-context": "e2e",
        });
        fs::write(path, format!("{config:#}\n")).map_err(Error::io("write", path))
    }

    fn write_identity(&self, name: &str, identity: &Identity) -> Result<()> {
        self.write(&format!("{name}.crt"), &identity.certificate)?;
        self.write(&format!("{name}.key"), &identity.key)
    }

    fn write(&self, file: &str, content: &str) -> Result<()> {
        let path = self.path(file);
        fs::write(&path, content).map_err(Error::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_every_file_that_the_processes_read() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::create(dir.path().join("pki"), "127.0.0.1", "10.96.0.1").unwrap();
        for file in ["ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "front-proxy-client.key", "sa.key", "sa.pub"]
        {
            assert!(fs::read_to_string(pki.path(file)).unwrap().starts_with("-----BEGIN "), "{file}");
        }
    }
}
