-- Make delayed jobs that are due ready, and forget final records that have expired.
-- ARGV: epoch, writes seen, now, most of either, pools.
-- Returns writes, how many became ready, how many were forgotten, ready jobs a pool, when the next
-- delayed job is due.
local refused = guard(ARGV[1], ARGV[2])
if refused then
  return refused
end
local now, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local key_of = read_pools(5)

local due = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(due) do
  local job = read_live(id)
  detach(id, job, key_of)
  job[STATE], job[DUE] = 'ready', 0
  attach(id, job, key_of, now)
end

local expired = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(expired) do
  drop_final(id, read_final(id))
end

if #due > 0 or #expired > 0 then
  write_counts()
  note_write()
end
return { writes, #due, #expired, ready_counts(), next_due() }
