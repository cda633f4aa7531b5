"""What `twistd` finds: the command `vegur`. It loads nothing until it is asked for."""

from twisted.application.service import ServiceMaker

vegurtx = ServiceMaker("vegurtx", "vegurtx.cli.tap", "An HTTP proxy that you program in Python.", "vegur")
