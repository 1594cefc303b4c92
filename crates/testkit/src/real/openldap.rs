//! OpenLDAP's slapd, with one person under `dc=example,dc=test`.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, run, user};

const USER: &str = "uid=test,dc=example,dc=test";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "ldap.example.test")?;
    let owner = user("openldap", "slapd")?;
    let endpoint = launcher.endpoint("ldap")?;
    let dir = launcher.scratch.path().display();
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            let issuers = format!("{}{}", setup.authority.intermediate_pem(), setup.authority.root_pem());
            // slapd with GnuTLS completes the chain from here.
            let issuers = launcher.scratch.file("issuers.pem", &issuers)?;
            Ok(format!(
                "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
                 TLSVerifyClient try\nsecurity simple_bind=1\n",
                issuers.display(),
                chain.display(),
                key.display()
            ))
        },
        "",
    )?;
    launcher.scratch.dir("db", &owner)?;
    let config = launcher.scratch.file(
        "slapd.conf",
        &format!(
            "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/db/slapd.pid
{tls}
database mdb
maxsize 16777216
suffix dc=example,dc=test
directory {dir}/db
access to attrs=userPassword by anonymous auth by * none
access to * by users read
"
        ),
    )?;
    let people = launcher.scratch.secret(
        "people.ldif",
        &format!(
            "dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: {USER}
objectClass: inetOrgPerson
uid: test
cn: test
sn: test
userPassword: {}
",
            launcher.password
        ),
        &owner,
    )?;
    let add = program("slapadd", "slapd")?;
    run(as_user(&owner, Command::new(add).arg("-q").arg("-f").arg(&config).arg("-l").arg(people)))?;
    let slapd = Daemon::spawn(
        &launcher.scratch,
        "slapd",
        Command::new(program("slapd", "slapd")?)
            .args(["-d", "0", "-h", &format!("ldap://{}/", endpoint.address)])
            .args(["-u", "openldap", "-g", "openldap"])
            .arg("-f")
            .arg(config),
    )?;
    launcher.running(USER, vec![endpoint], vec![slapd])
}
