"""A mail server that takes mail over STARTTLS from whoever knows the password, and prints what it took as lines of JSON."""

import email
import email.policy
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Keeper:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "over_tls": session.ssl is not None,
            "headers": sorted(name.lower() for name in message.keys()),
            "defects": [str(defect) for defect in message.defects],
            "subject": message["Subject"],
            "text": message.get_content(),
        }), flush=True)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(handled=False, success=data.login == b"banken" and data.password == b"correct-horse")


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
controller = Controller(
    Keeper(), hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True,
    authenticator=authenticate, auth_required=True,
)
controller.start()
print("ready", flush=True)
time.sleep(600)
