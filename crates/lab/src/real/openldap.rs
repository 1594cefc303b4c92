//! OpenLDAP's slapd, with one person under `dc=example,dc=test`.

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, as_user, program, run, user};

const USER: &str = "uid=test,dc=example,dc=test";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "ldap.example.test")?;
    let owner = user("openldap", "slapd")?;
    let endpoint = stage.endpoint("ldap")?;
    let dir = stage.scratch.path().display();
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&owner)?;
            let issuers = format!("{}{}", setup.authority.intermediate_pem(), setup.authority.root_pem());
            // slapd with GnuTLS completes the chain from here.
            let issuers = stage.scratch.file("issuers.pem", &issuers)?;
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
    stage.scratch.dir("db", &owner)?;
    let config = stage.scratch.file(
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
    let people = stage.scratch.secret(
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
            stage.password
        ),
        &owner,
    )?;
    let add = program("slapadd", "slapd")?;
    run(as_user(&owner, Command::new(add).arg("-q").arg("-f").arg(&config).arg("-l").arg(people)))?;
    let slapd = Daemon::spawn(
        &stage.scratch,
        "slapd",
        Command::new(program("slapd", "slapd")?)
            .args(["-d", "0", "-h", &format!("ldap://{}/", endpoint.address)])
            .args(["-u", "openldap", "-g", "openldap"])
            .arg("-f")
            .arg(config),
    )?;
    stage.running(USER, vec![endpoint], vec![slapd])
}
