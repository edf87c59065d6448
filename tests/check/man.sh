#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages are sound, and what they refer to exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t pages < <(git ls-files -co --exclude-standard -- 'docs/man/*.[1-8]')
# STYLE: advice on wording and dates, no fault of the page.
mandoc -Tlint -Wwarning "${pages[@]}"
