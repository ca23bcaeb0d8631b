"""`python -m tunesmith` is the command `tunesmith`."""

from tunesmith.cli.__main__ import main

raise SystemExit(main())
