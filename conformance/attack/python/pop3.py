"""poplib: logs in and lists the messages."""
import os, poplib, ssl

env = os.environ
pop = poplib.POP3(env["STARTTLS_HOST"], int(env["STARTTLS_PORT"]), timeout=4)
pop.stls(ssl.create_default_context(cafile=env["STARTTLS_CA"]))
print(pop.capa())
pop.user(env["STARTTLS_USER"])
pop.pass_(env["STARTTLS_PASSWORD"])
print(pop.list())
pop.quit()
