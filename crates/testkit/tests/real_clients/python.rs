//! Python's standard library, with its default context and the lab's authority.

use crate::support::{client, endpoint, lab};
use starttls_lab::Lab;

fn python(lab: &Lab, scheme: &str, script: &str) {
    let start = "import ssl, sys\nca, port, password = sys.argv[1], int(sys.argv[2]), sys.argv[3]\n\
        context = ssl.create_default_context(cafile=ca)\n";
    client("python3", "python3")
        .args(["-W", "ignore", "-I", "-c", &format!("{start}{script}\nprint('done')")])
        .args([lab.ca_file()])
        .args([&endpoint(lab, scheme).address.port().to_string(), lab.password()])
        .run()
        .with(&["done"]);
}

#[test]
fn python_smtplib() {
    let lab = lab();
    let script = "
import smtplib
for method in ('login', 'auth_plain'):
    smtp = smtplib.SMTP('localhost', port, timeout=20)
    smtp.starttls(context=context)
    smtp.login('test', password)
    smtp.sendmail('a@example.test', ['b@example.test'], 'Subject: python\\n\\n.dot\\n')
    smtp.quit()";
    python(&lab, "submission", script);
    assert_eq!(&*lab.store().mail()[2].text, b"Subject: python\r\n\r\n.dot\r\n");
}

#[test]
fn python_imaplib() {
    let script = "
import imaplib
imap = imaplib.IMAP4('localhost', port, timeout=20)
imap.starttls(context)
assert imap.login('test', password)[0] == 'OK'
assert imap.list()[1] == [b'() \"/\" INBOX']
assert imap.select('INBOX', readonly=True)[1] == [b'1']
assert b'Subject: It works' in imap.fetch('1', '(BODY[])')[1][0][1]
assert imap.append('INBOX', None, None, b'Subject: two\\r\\n\\r\\n' + b'x' * 40000)[0] == 'OK'
assert imap.uid('SEARCH', 'SUBJECT', 'two')[1] == [b'2']
assert imap.status('INBOX', '(MESSAGES)')[1] == [b'INBOX (MESSAGES 2)']
imap.logout()
imap = imaplib.IMAP4('localhost', port, timeout=20)
imap.starttls(context)
assert imap.authenticate('PLAIN', lambda _: f'\\0test\\0{password}')[0] == 'OK'
imap.logout()";
    python(&lab(), "imap", script);
}

#[test]
fn python_poplib() {
    let script = "
import poplib
pop = poplib.POP3('localhost', port, timeout=20)
pop.stls(context)
assert 'TOP' in pop.capa() and 'STLS' not in pop.capa()
pop.user('test'); pop.pass_(password)
assert pop.stat()[0] == 1
assert b'.A line that starts with a dot.' in pop.retr(1)[1]
assert len(pop.top(1, 1)[1]) + 1 == len(pop.retr(1)[1])
assert pop.uidl(1) == b'+OK 1 1'
pop.dele(1); pop.rset(); pop.quit()";
    let lab = lab();
    python(&lab, "pop3", script);
    assert_eq!(lab.store().mail().len(), 1);
}

#[test]
fn python_ftplib() {
    let script = "
import ftplib, io
ftp = ftplib.FTP_TLS(context=context)
ftp.connect('localhost', port, timeout=20)
ftp.login('test', password)
ftp.prot_p()
assert ftp.nlst() == ['welcome.txt']
ftp.storbinary('STOR new', io.BytesIO(b'x' * 100000))
got = []
ftp.retrbinary('RETR new', got.append)
assert b''.join(got) == b'x' * 100000 and ftp.size('new') == 100000
assert dict(ftp.mlsd())['new']['size'] == '100000'
ftp.quit()";
    python(&lab(), "ftp", script);
}
