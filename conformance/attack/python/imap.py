"""imaplib: logs in and lists the folders."""
import imaplib, os, ssl

env = os.environ
imap = imaplib.IMAP4(env["STARTTLS_HOST"], int(env["STARTTLS_PORT"]), timeout=4)
imap.starttls(ssl.create_default_context(cafile=env["STARTTLS_CA"]))
imap.login(env["STARTTLS_USER"], env["STARTTLS_PASSWORD"])
print(imap.list())
imap.logout()
