"""ftplib: logs in and prints the working directory."""
import ftplib, os, ssl

env = os.environ
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=env["STARTTLS_CA"]))
ftp.connect(env["STARTTLS_HOST"], int(env["STARTTLS_PORT"]), timeout=4)
ftp.login(env["STARTTLS_USER"], env["STARTTLS_PASSWORD"])
print(ftp.pwd())
ftp.quit()
