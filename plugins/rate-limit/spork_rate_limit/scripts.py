"""The same counting where the state is in a store: one script for each algorithm, in Lua and in Python.

A script is given the key of each window, then ``cost`` and each window's ``numbers``; it answers as ``windows.decide``.
It reads the clock of the store, so that gateways whose clocks differ count alike, and writes only when it counts.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from spork_core.api import Script, Table
from spork_rate_limit.windows import FixedWindow, Gcra, SlidingWindow, Window, decide

_DECIDE: Final = """
local cost = tonumber(ARGV[1])
local windows, refused, wait = {}, 0, 0
for i = 1, #KEYS do
  local ok, state = pcall(cmsgpack.unpack, redis.pcall('GET', KEYS[i]) or '')
  if not ok or type(state) ~= 'table' then state = {} end
  local window = read(state, i)
  window.state = state
  windows[i] = window
  if window.room < cost then
    local longer = wait_for(window, cost)
    if longer >= wait then refused, wait = i, longer end
  end
end
local answer = {refused, wait}
for i, window in ipairs(windows) do
  if refused == 0 then
    local kept = take(window, cost)
    redis.call('SET', KEYS[i], cmsgpack.pack(window.state), 'PX', math.ceil(kept / 1000))
    window.room = window.room - cost
  end
  answer[#answer + 1] = math.max(window.room, 0)
  answer[#answer + 1] = grows(window)
end
return answer
"""
"""What all three do; ``read``, ``wait_for``, ``take`` and ``grows`` differ."""

_SLIDING: Final = """
-- A state: when the youngest moment began, then moments, the oldest first: when, how many, when, how many, ...
local function read(state, i)
  local w = {limit = tonumber(ARGV[3 * i - 1]), length = tonumber(ARGV[3 * i]), gap = tonumber(ARGV[3 * i + 1])}
  local last = state[#state - 1]
  w.now = now
  if #state > 1 and now < last then
    if last - now > w.length then
      for at = #state, 1, -1 do state[at] = nil end
    else
      w.now = last
    end
  end
  local edge, from, size = w.now - w.length, 2, #state
  while from < size and state[from] <= edge do from = from + 2 end
  if from > 2 then
    for at = 2, size do state[at] = state[from + at - 2] end
  end
  w.total = 0
  for at = 3, #state, 2 do w.total = w.total + state[at] end
  w.room = w.limit - w.total
  return w
end
local function wait_for(w, cost)
  local over, free, at = w.total + cost - w.limit, w.now, 2
  while over > 0 and at < #w.state do
    over = over - w.state[at + 1]
    free = w.state[at] + w.length
    at = at + 2
  end
  return free - w.now
end
local function take(w, cost)
  local state, size = w.state, #w.state
  if w.total > 0 and w.now - state[1] < w.gap then
    state[size - 1] = w.now
    state[size] = state[size] + cost
  else
    if size == 0 then size = 1 end
    state[1], state[size + 1], state[size + 2] = w.now, w.now, cost
  end
  w.total = w.total + cost
  return w.length
end
local function grows(w)
  return w.total > 0 and w.state[2] + w.length - w.now or 0
end
"""

_GCRA: Final = """
-- A state: when it was so, and the debt.
local function whole(a, b)  -- a / b rounded down; fmod is exact where the quotient of large numbers is not
  return (a - math.fmod(a, b)) / b
end
local function paid(w, debt)
  return debt > 0 and whole(debt + w.drain - 1, w.drain) or 0
end
local function read(state, i)
  local w = {limit = tonumber(ARGV[3 * i - 1]), unit = tonumber(ARGV[3 * i]), drain = tonumber(ARGV[3 * i + 1])}
  w.full = w.limit * w.unit
  w.now = now
  local last, debt = state[1] or now, state[2] or 0
  if now < last then
    if (last - now) * w.drain > w.full then debt = 0 else w.now = last end
  else
    debt = math.max(debt - (now - last) * w.drain, 0)
  end
  state[1], state[2] = w.now, debt
  w.room = whole(w.full - debt, w.unit)
  return w
end
local function wait_for(w, cost)
  return paid(w, w.state[2] + cost * w.unit - w.full)
end
local function take(w, cost)
  w.state[2] = w.state[2] + cost * w.unit
  return paid(w, w.state[2])
end
local function grows(w)
  local debt = w.state[2]
  return debt > 0 and paid(w, debt - whole(debt - 1, w.unit) * w.unit) or 0
end
"""

_FIXED: Final = """
-- A state: when the window began, and what it took.
local function read(state, i)
  local w = {limit = tonumber(ARGV[2 * i]), length = tonumber(ARGV[2 * i + 1]), now = now}
  local start, count = state[1] or now, state[2] or 0
  if now < start then
    if start - now > w.length then count = 0 else w.now = start end
  end
  if w.now - start >= w.length then count = 0 end
  state[1], state[2] = start, count
  w.room = w.limit - count
  return w
end
local function grows(w)
  return w.state[2] > 0 and w.state[1] + w.length - w.now or 0
end
local function wait_for(w, cost)
  return w.state[2] + cost > w.limit and grows(w) or 0
end
local function take(w, cost)
  if w.state[2] == 0 then w.state[1] = w.now end
  w.state[2] = w.state[2] + cost
  return w.state[1] + w.length - w.now
end
"""


def _in_python(
    kind: Callable[..., Window[Any]], width: int
) -> Callable[[Table, Sequence[str], Sequence[str | int | float | bytes], int], list[int]]:
    """The form for memory. ``kind``: makes the window that ``width`` numbers describe."""

    def run(table: Table, keys: Sequence[str], arguments: Sequence[str | int | float | bytes], now: int) -> list[int]:
        cost, *numbers = map(int, arguments)
        windows = [kind(*numbers[at : at + width]) for at in range(0, len(numbers), width)]
        states, times = [], []
        for window, key in zip(windows, keys, strict=True):
            state = table.get(key)
            time = now if state is None else window.current(state, now)
            if state is None or time < 0:
                state, time = window.new(now), now
            states.append(state)
            times.append(time)
        answer = decide(windows, states, times, cost)
        if not answer[0]:
            for window, key, state, time in zip(windows, keys, states, times, strict=True):
                table.set(key, state, (window.ends(state) - time) / 1_000_000)
        return answer

    return run


SCRIPTS: Final[dict[type[Window[Any]], Script]] = {
    SlidingWindow: Script("rate-limit-sliding-window", _SLIDING + _DECIDE, _in_python(SlidingWindow, 3)),
    Gcra: Script("rate-limit-gcra", _GCRA + _DECIDE, _in_python(Gcra, 3)),
    FixedWindow: Script("rate-limit-fixed-window", _FIXED + _DECIDE, _in_python(FixedWindow, 2)),
}
"""The script of each algorithm."""
