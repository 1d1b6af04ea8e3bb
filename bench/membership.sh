#!/usr/bin/env bash
# What membership costs and how fast it agrees, at 10, 100 and 1,000 nodes in virtual time, with the
# default configuration and seeds equal to the sizes: the same figures on every machine.
#
#     bench/membership.sh [SIZES]   10,100,1000 unless told otherwise
#
# The first run builds the tests in release mode (five minutes on two cores).
#
# The network loses 5 % of the messages (none while a cluster forms and in the column "quiet") and
# takes 1 to 10 ms for the rest. Bytes are those of the messages, without frames and TCP.
# - form: all nodes join through one, 10 ms apart; from the last join until all know all.
# - join, death, heal: until all know of one more node, of one killed, and of each other again after
#   halves that had declared each other dead are no longer cut.
# - wrong: how often anybody held a healthy node for suspect, or dead, in 330 s.
# - slow nodes: the same in 120 s while every twentieth node is two seconds late, without Lifeguard
#   (local health off, suspicions of fixed length) and with it.
#
# Seen (four minutes; no false death anywhere, and the cost does not grow with the cluster):
#          form   join  death   heal    quiet              5 %              wrong         longest
#  nodes      s      s      s      s    msg/s  byte/s    msg/s  byte/s    suspect  dead      byte
#     10    0.7    0.6    7.5    3.4      3.0    75.0      4.3   106.8          0     0       210
#    100    1.3    1.6   13.1    3.8      3.0    75.0      4.2   106.3          0     0      1623
#   1000   12.4    2.4   18.6   24.0      3.0    75.0      4.2   106.2          0     0      2973
#
#              plain          Lifeguard
#  nodes     suspect   dead     suspect   dead
#     10         922      0           9      0
#    100       46406      0         755      0
#   1000     4202814      0       81604      0
#
# Exits 1 when a figure cannot be had, such as halves that never declared each other dead.
source "$(dirname "$0")/servers.sh"

cd "$repository"
sizes=${1:-10,100,1000}
options=(-c release -Xswiftc -enable-testing --scratch-path .build-figures)
swift build --build-tests "${options[@]}" >&2 || exit 1
lines=$(QUORATE_MEMBERSHIP=$sizes swift test --skip-build "${options[@]}" --filter FigureTests 2>&1) && status=0 || status=$?
grep '✘' <<<"$lines" >&2 || true
figures() { grep "^$1 " <<<"$lines" | sort -n -k2 | cut -d' ' -f2-; }
row() { printf '%6s %6s %6s %6s %6s   %6s %7s   %6s %7s   %8s %5s   %7s\n' "$@"; }
row '' form join death heal quiet '' '5 %' '' wrong '' longest
row nodes s s s s msg/s byte/s msg/s byte/s suspect dead byte
figures FIGURES | while read -r -a columns; do row "${columns[@]}"; done
slow() { printf '%6s   %9s %6s   %9s %6s\n' "$@"; }
echo
slow '' 'plain' '' 'Lifeguard' ''
slow nodes suspect dead suspect dead
figures SLOW | while read -r -a columns; do slow "${columns[@]}"; done
exit $status
