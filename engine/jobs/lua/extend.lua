-- Confirm leases: an observer of the server, or a later engine, sees when each was last alive.
-- ARGV: epoch, writes seen, now, leases (MessagePack array of id, token pairs).
-- Returns writes, one 1 (still held) or 0 a lease.
local refused = guard(ARGV[1], ARGV[2])
if refused then
  return refused
end
local now = tonumber(ARGV[3])
local held = {}
for index, lease in ipairs(cmsgpack.unpack(ARGV[4])) do
  local job = read_live(lease[1])
  held[index] = 0
  if job and job[STATE] == 'leased' and job[TOKEN] == lease[2] then
    call('ZADD', LEASED, now, lease[1])
    held[index] = 1
  end
end
note_write()
return { writes, held }
