-- Lease up to `most` jobs to a slot: those given back to it first, then the foremost of the pools.
-- ARGV: epoch, writes seen, now, slot, token, most, pools.
-- Returns writes, the jobs as id, record, spec, id, record, spec, ..., ready jobs a pool, when the
-- next delayed job is due.
local refused = guard(ARGV[1], ARGV[2])
if refused then
  return refused
end
local now, slot, token, most = tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local reply = {}

local function answer()
  return { writes, reply, ready_counts(), next_due() }
end

-- What this very call has leased before its answer was lost is the answer again.
local held_ids = members_of(HELD, slot)
if #held_ids > 0 then
  for index, packed in ipairs(call('HMGET', LIVE, unpack(held_ids))) do
    if cmsgpack.unpack(packed)[TOKEN] == token then
      local at, id = #reply, held_ids[index]
      reply[at + 1], reply[at + 2], reply[at + 3] = id, packed, call('HGET', SPEC, id)
    end
  end
  if #reply > 0 then
    return answer()
  end
end

local ids = {}

local function choose(set, member, id)
  ids[#ids + 1] = id
  call('ZREM', set, member)
end

for _, id in ipairs(members_of(RESERVED, slot, most)) do
  choose(RESERVED, in_slot(slot, id), id)
end

-- Each pool is in order, so the foremost of all are the foremost of their heads.
local wanted = most - #ids
if wanted > 0 then
  local heads = {}
  for index = FIRST_POOL_KEY, #KEYS do
    local found = call('ZRANGE', KEYS[index], 0, wanted - 1, 'WITHSCORES')
    for at = 1, #found, 2 do
      heads[#heads + 1] = { found[at], tonumber(found[at + 1]), KEYS[index] }
    end
  end
  if #KEYS > FIRST_POOL_KEY then
    table.sort(heads, function(left, right)
      if left[2] == right[2] then
        return left[1] < right[1]
      end
      return left[2] < right[2]
    end)
  end
  for index = 1, math.min(wanted, #heads) do
    choose(heads[index][3], heads[index][1], heads[index][1])
  end
end

if #ids == 0 then
  return answer()
end

-- One command for all jobs rather than one a job: this is the queue's hot path.
local records, specs = call('HMGET', LIVE, unpack(ids)), call('HMGET', SPEC, unpack(ids))
local live, leased, held = {}, {}, {}
for index, id in ipairs(ids) do
  local job = cmsgpack.unpack(records[index])
  count(job[STATE], job[POOL], -1)
  count('leased', job[POOL], 1)
  job[STATE], job[TOKEN], job[SLOT], job[SINCE] = 'leased', token, slot, now
  job[ATTEMPT] = job[ATTEMPT] + 1
  local packed = cmsgpack.pack(job)
  live[#live + 1], live[#live + 2] = id, packed
  leased[#leased + 1], leased[#leased + 2] = now, id
  held[#held + 1], held[#held + 2] = 0, in_slot(slot, id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = id, packed, specs[index]
end
call('HSET', LIVE, unpack(live))
call('ZADD', LEASED, unpack(leased))
call('ZADD', HELD, unpack(held))
write_counts()
note_write()
return answer()
