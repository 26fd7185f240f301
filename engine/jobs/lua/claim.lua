-- Lease up to `most` jobs to a slot.
-- ARGV: epoch, writes seen, now, slot, token, most, tokens the caller knows the slot to hold
-- (MessagePack array), pools.
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

local function add_to_reply(id, packed)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = id, packed, call('HGET', SPEC, id)
end

-- What this very call has leased before its answer was lost is the answer again. What an abandoned
-- call has leased nobody has seen: it is leased again, first, by this call.
local known = {}
for _, held_token in ipairs(cmsgpack.unpack(ARGV[7])) do
  known[held_token] = true
end
local unseen = {}
for _, id in ipairs(members_of(HELD, slot)) do
  local packed = call('HGET', LIVE, id)
  local holder = cmsgpack.unpack(packed)[TOKEN]
  if holder == token then
    add_to_reply(id, packed)
  elseif not known[holder] then
    unseen[#unseen + 1] = id
  end
end
if #reply > 0 then
  return answer()
end

local chosen = {}

-- `attempt` counts leases that were handed out: one that nobody has seen is not another.
for _, id in ipairs(unseen) do
  if #chosen == most then
    break
  end
  chosen[#chosen + 1] = { id, 0 }
  call('ZREM', HELD, in_slot(slot, id))
end

if #chosen < most then
  for _, id in ipairs(members_of(RESERVED, slot, most - #chosen)) do
    chosen[#chosen + 1] = { id, 1 }
    call('ZREM', RESERVED, in_slot(slot, id))
  end
end

-- The foremost of all the pools: each is in order, so the foremost of their heads.
local wanted = most - #chosen
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
    chosen[#chosen + 1] = { heads[index][1], 1 }
    call('ZREM', heads[index][3], heads[index][1])
  end
end

if #chosen == 0 then
  return answer()
end

-- One command for all jobs rather than one a job: this is the queue's hot path.
local ids = {}
for index, choice in ipairs(chosen) do
  ids[index] = choice[1]
end
local records, specs = call('HMGET', LIVE, unpack(ids)), call('HMGET', SPEC, unpack(ids))
local live, leased, held = {}, {}, {}
for index, choice in ipairs(chosen) do
  local id, job = choice[1], cmsgpack.unpack(records[index])
  count(job[STATE], job[POOL], -1)
  count('leased', job[POOL], 1)
  job[STATE], job[TOKEN], job[SLOT], job[SINCE] = 'leased', token, slot, now
  job[ATTEMPT] = job[ATTEMPT] + choice[2]
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
