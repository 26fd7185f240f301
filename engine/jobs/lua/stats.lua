-- Depths, and the earliest order of a ready job, of every pool.
-- ARGV: epoch, writes seen, span of a priority in places, pools.
-- Returns counts as field, number, ..., and for each pool the earliest order or false.
local refused = guard(ARGV[1], ARGV[2])
if refused then
  return refused
end
local span = tonumber(ARGV[3])

-- A pool is in order of priority first. The first of each priority is the oldest of that priority,
-- and the next priority begins at a known place, so few steps find them all.
local function earliest_order(key)
  local earliest, from = false, '-inf'
  while true do
    local found = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if #found == 0 then
      return earliest
    end
    local place = tonumber(found[2])
    local first_of_priority = math.floor(place / span) * span
    local order = place - first_of_priority
    if not earliest or order < earliest then
      earliest = order
    end
    from = string.format('%.0f', first_of_priority + span)
  end
end

local oldest = {}
for index = FIRST_POOL_KEY, #KEYS do
  local order = earliest_order(KEYS[index])
  oldest[#oldest + 1] = order and string.format('%.0f', order)
end
return { call('HGETALL', COUNTS), oldest }
