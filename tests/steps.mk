# SPDX-License-Identifier: Apache-2.0
# Steps of tests/run side by side; it gives STEPS, and LOGS for what they write.
SHELL := /bin/bash

.PHONY: $(STEPS)
all: $(STEPS)

$(STEPS):
	@echo "==== $@ begins ($(LOGS)/$@.log)"
	@since=$$SECONDS; if tests/run $@ > $(LOGS)/$@.log 2>&1; \
		then echo "---- $@ passed after $$((SECONDS - since)) s"; \
		else cat $(LOGS)/$@.log; echo "!!!! $@ failed; all that it wrote is above"; exit 1; fi
