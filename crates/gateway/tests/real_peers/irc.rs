//! IRC.

use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] =
    &[Talk { name: "Python joins a channel of InspIRCd's", protocol: "irc", talk: python }];

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import socket
tcp = socket.create_connection(('localhost', port), 20)
def hear(stream, wanted):
    line = ''
    while wanted not in line:
        line = stream.readline()
        assert line, 'no ' + wanted
    return line
clear = tcp.makefile('rw', buffering=1, newline='')
clear.write('CAP LS 302\\r\\nNICK me\\r\\n')
assert 'tls' in hear(clear, ' LS ').split()[-1].lstrip(':').split(), 'no offer'
clear.write('STARTTLS\\r\\n')
hear(clear, ' 670 ')
tls = context.wrap_socket(tcp, server_hostname=name).makefile('rw', buffering=1, newline='')
tls.write(f'CAP LS 302\\r\\nPASS {password}\\r\\nNICK me\\r\\nUSER me 0 * :Me\\r\\nCAP END\\r\\n')
line = ''
while ' 001 ' not in line:
    line = tls.readline()
    assert line and ' tls' not in line, line
    if 'PING ' in line:
        tls.write('PONG ' + line.split()[-1] + '\\r\\n')
tls.write('JOIN #lab\\r\\n')
hear(tls, ' JOIN ')
tls.write('PRIVMSG me :STARTTLS :x\\r\\n')
hear(tls, ' PRIVMSG me :STARTTLS :x')
tls.write('QUIT\\r\\n')
hear(tls, 'ERROR ')",
    );
}
