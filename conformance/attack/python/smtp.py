"""smtplib: logs in and sends a message."""
import os, smtplib, ssl

env = os.environ
smtp = smtplib.SMTP(env["STARTTLS_HOST"], int(env["STARTTLS_PORT"]), timeout=4)
smtp.starttls(context=ssl.create_default_context(cafile=env["STARTTLS_CA"]))
smtp.login(env["STARTTLS_USER"], env["STARTTLS_PASSWORD"])
smtp.sendmail("a@example.test", ["b@example.test"], "Subject: a test\n\nhello\n")
smtp.quit()
