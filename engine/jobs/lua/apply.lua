-- Carry out a batch of changes that the engine has decided, in order; each fenced on its own.
-- ARGV: epoch, writes seen, now, changes (MessagePack array of arrays), pools.
-- Returns writes, one 1 (done) or 0 (not as expected: nothing done) a change, ready jobs a pool,
-- when the next delayed job is due.
local refused = guard(ARGV[1], ARGV[2])
if refused then
  return refused
end
local now = tonumber(ARGV[3])
local key_of = read_pools(5)
local apply = {}

-- A job is put in unless it is known: in this run or a later one, unfinished or finished.
-- Repeating it is harmless, so the id is the idempotency key of the queue.
function apply.enqueue(id, record, spec)
  local job = read_live(id)
  if job then
    if job[RUN] >= record[RUN] then
      return 0
    end
    detach(id, job, key_of)
  end
  local final = read_final(id)
  if final then
    if final[FINAL_RUN] >= record[RUN] then
      return 0
    end
    drop_final(id, final)
  end
  attach(id, record, key_of, now)
  call('HSET', SPEC, id, spec)
  return 1
end

-- A job is made to be what the engine knows it is, whatever was found.
function apply.restore(id, record, spec)
  local job = read_live(id)
  if job then
    detach(id, job, key_of)
  end
  local final = read_final(id)
  if final then
    drop_final(id, final)
  end
  attach(id, record, key_of, now)
  call('HSET', SPEC, id, spec)
  return 1
end

-- The holder of the token gives the job back: to the queue, to a slot, or until it is due.
function apply.give_back(id, run, token, state, slot, attempt, failures, due)
  local job = read_live(id)
  if not job or job[STATE] ~= 'leased' or job[RUN] ~= run or job[TOKEN] ~= token then
    return 0
  end
  detach(id, job, key_of)
  job[STATE], job[SLOT], job[TOKEN] = state, slot, ''
  job[ATTEMPT], job[FAILURES], job[DUE] = attempt, failures, due
  attach(id, job, key_of, now)
  return 1
end

-- The run is over. With a token, only for who holds it; without one, whatever the state: the
-- engine has the outcome on disk.
function apply.finish(id, run, token, final, expiry)
  local job = read_live(id)
  if not job or job[RUN] ~= run or (token ~= '' and job[TOKEN] ~= token) then
    return 0
  end
  detach(id, job, key_of)
  call('HDEL', LIVE, id)
  call('HDEL', SPEC, id)
  call('HSET', FINAL, id, cmsgpack.pack(final))
  call('ZADD', EXPIRY, expiry, id)
  if final[FINAL_STATE] == 'DEAD' then
    count('dead', final[FINAL_POOL], 1)
    call('ZADD', DEAD, now, id)
  end
  return 1
end

-- What was given back to a slot is anyone's: the slot does not come back for it.
function apply.unreserve(slot)
  local ids = members_of(RESERVED, slot)
  for _, id in ipairs(ids) do
    local job = read_live(id)
    detach(id, job, key_of)
    job[STATE], job[SLOT] = 'ready', ''
    attach(id, job, key_of, now)
  end
  return #ids > 0 and 1 or 0
end

-- A job that the engine does not know is none.
function apply.forget(id)
  local job = read_live(id)
  if not job then
    return 0
  end
  detach(id, job, key_of)
  call('HDEL', LIVE, id)
  call('HDEL', SPEC, id)
  return 1
end

local done = {}
for index, change in ipairs(cmsgpack.unpack(ARGV[4])) do
  done[index] = apply[change[1]](unpack(change, 2))
end
write_counts()
return { note_write(), done, ready_counts(), next_due() }
