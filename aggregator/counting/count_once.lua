-- Counts the results of one batch and room, each exactly once.
--
-- KEYS[1]             the room's live hash
-- KEYS[2]             its tombstone: results captured before that time (ms) are refused
-- KEYS[3 .. 2 + B]    buckets, B of them
-- KEYS[3 + B ..]      seen-bitmaps
-- ARGV[1]             one msgpack map, made by aggregator/counting/buckets.py:
--   room, channel     its name, and the channel on which changes of the live hash are told
--   now_ms            the aggregator's wall clock; every time is in ms or s since 1970
--   ahead_ms          what lies further ahead of now_ms is of a clock that was set back
--   seen_bits         bits of one bitmap
--   seen_ttl_s        how long the bitmaps live from now on
--   bucket_expire_s   when each of the B buckets expires
--   bucket_us         how long each of the B buckets is, in microseconds
--   slots           array of arrays: the buckets (1 .. B) of one 10 s of capture time
--   fields            names of the buckets' fields
--   cameras           names of the cameras
--   camera_bases      for each camera, the index in `fields` (from 0) of frames, observed_us,
--                     face_us, suppressed_us, unsure_us, still_us, repeated
--   labels, valence   name and pleasure of each expression
--   live_ttl_s, live_max_age_ms, half_life_ms, margin, updates_every_ms: see redis_keys.py
--   results           arrays: bitmap, bit, slot, camera, captured_ms, interval_us, number of
--                     faces, of suppressed faces, of unsure faces; then for each sure face the
--                     index in `fields` (from 0) of `us` and `label_us` for each expression,
--                     and the probability of each expression
--   still             of results (1 ..) with boxes that never move: the result, how many
--   repeated          the results (1 ..) whose frames were not analysed
--
-- Replies with one letter per result: c counted, d duplicate, f forgotten (refused by the
-- tombstone); or with an error, and then nothing was counted. A script is atomic but is not
-- rolled back, hence: first all reads and checks, then all writes, SETBIT first, because what
-- Redis refuses for want of memory it refuses at a script's first write.

local floor, format = math.floor, string.format
local LIVE, FORGOTTEN = KEYS[1], KEYS[2]
local arg = cmsgpack.unpack(ARGV[1])
local now_ms, results, fields = arg.now_ms, arg.results, arg.fields
local labels, label_count = arg.labels, #arg.labels
local first_bucket, first_seen = 2, 2 + #arg.bucket_expire_s
local LIVE_US = arg.half_life_ms * 1000 / math.log(2) -- of a camera that never blinked, weighed
local LIVE_FORMAT = '%.0f %.0f %.0f %.0f %.0f %.3f' .. string.rep(' %.0f', label_count)
local CHUNK = 1000 -- Lua unpacks at most 8,000 values onto its stack

local function whole(number)
  return format('%.0f', number)
end

-- Checks -----------------------------------------------------------------------------------

-- Which key is of another type, asked only where reading has failed: each is read before any is
-- written.
local function wrong_type()
  for i, key in ipairs(KEYS) do
    local wanted = (i == 2 or i > first_seen) and 'string' or 'hash'
    local found = redis.call('TYPE', key).ok
    if found ~= wanted and found ~= 'none' then
      return 'WRONGTYPE ' .. key .. ' holds a ' .. found .. ' where a ' .. wanted .. ' was due'
    end
  end
end

-- Before when results are forgotten. Redis' clock made the tombstone: one of its future is of a clock
-- that was ahead, and would refuse all that comes for as long. That is none.
local function forgotten_before()
  local forgotten_ms = tonumber(redis.call('GET', FORGOTTEN) or 0) or now_ms
  if forgotten_ms > now_ms + arg.ahead_ms then
    local time = redis.pcall('TIME')
    if not time.err and forgotten_ms > time[1] * 1000 + arg.ahead_ms then return 0, true end
  end
  return forgotten_ms, false
end

-- One letter per result, and whether any is to be counted.
local function outcomes(forgotten_ms)
  local letters, taken, any = {}, {}, false
  for i, row in ipairs(results) do
    local bit = row[1] * arg.seen_bits + row[2]
    if row[5] < forgotten_ms then
      letters[i] = 'f'
    elseif taken[bit] or redis.call('GETBIT', KEYS[first_seen + row[1]], row[2]) == 1 then
      letters[i] = 'd'
    else
      letters[i], taken[bit], any = 'c', true, true
    end
  end
  return letters, any
end

-- Sums -------------------------------------------------------------------------------------

-- Moves a camera's live sums on to time t; back in time, never.
local function advance(camera, t)
  if t <= camera.t then return end
  local factor, us = 2 ^ ((camera.t - t) / arg.half_life_ms), camera.us
  camera.obs, camera.face = camera.obs * factor, camera.face * factor
  camera.unsure, camera.frames = camera.unsure * factor, camera.frames * factor
  for e = 1, label_count do us[e] = us[e] * factor end
  camera.t = t
end

local function new_camera(name)
  local camera = { name = name, t = 0, sure_ms = 0, obs = 0, face = 0, unsure = 0, frames = 0 }
  camera.us = {}
  for e = 1, label_count do camera.us[e] = 0 end
  return camera
end

-- A camera's live sums as one field of the hash: numbers between spaces, in this order.
local function packed(camera)
  return format(LIVE_FORMAT, camera.t, camera.sure_ms, camera.obs, camera.face, camera.unsure,
    camera.frames, unpack(camera.us))
end

local function unpacked(name, text)
  local camera, numbers = new_camera(name), {}
  for word in string.gmatch(text, '%S+') do numbers[#numbers + 1] = tonumber(word) end
  if #numbers ~= 6 + label_count then return camera end
  camera.t, camera.sure_ms, camera.obs = numbers[1], numbers[2], numbers[3]
  camera.face, camera.unsure, camera.frames = numbers[4], numbers[5], numbers[6]
  for e = 1, label_count do camera.us[e] = numbers[6 + e] end
  return camera
end

-- The cameras of the live hash by name, as they were stored; all its fields; and names of cameras
-- whose sums are of the future: a clock was ahead, and what it left would seem new for as long.
local function read_live()
  local flat, hash, cameras, ahead = redis.call('HGETALL', LIVE), {}, {}, {}
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    hash[field] = value
    if string.sub(field, 1, 7) == 'camera:' then
      local name = string.sub(field, 8)
      local camera = unpacked(name, value)
      if camera.t <= now_ms + arg.live_max_age_ms then
        cameras[name] = camera
      else
        ahead[#ahead + 1], hash.dominant = name, nil
      end
    end
  end
  return hash, cameras, ahead
end

-- For each camera of the batch its live sums, advanced to its newest capture.
local function live_of_batch(letters, cameras)
  local batch, any = {}, false
  for i, row in ipairs(results) do
    if letters[i] == 'c' and now_ms - row[5] <= arg.live_max_age_ms then
      local name = arg.cameras[row[4]]
      local camera = cameras[name] or new_camera(name)
      cameras[name], batch[row[4]], any = camera, camera, true
      advance(camera, row[5])
    end
  end
  return batch, any
end

-- Adds a result's sure faces, for an interval, to sums and, weighed, to the live sums `us`.
local function add_faces(row, interval_us, sum, us, weight)
  local last = label_count
  for at = 10, #row, last + 1 do
    local base, winner, most = row[at], 1, -1
    for e = 1, last do
      local p = row[at + e]
      local time = floor(interval_us * p + 0.5)
      sum[base + e] = (sum[base + e] or 0) + time
      us[e] = us[e] + time * weight
      if p > most then winner, most = e, p end
    end
    local label = base + last + winner
    sum[label] = (sum[label] or 0) + interval_us
  end
end

local function add_frame(row, interval_us, sum)
  local base = arg.camera_bases[row[4]]
  local count = base + (row.repeated and 7 or 1)
  sum[count] = (sum[count] or 0) + 1
  sum[base + 2] = (sum[base + 2] or 0) + interval_us
  sum[base + 3] = (sum[base + 3] or 0) + interval_us * row[7]
  sum[base + 4] = (sum[base + 4] or 0) + interval_us * row[8]
  sum[base + 5] = (sum[base + 5] or 0) + interval_us * row[9]
  sum[base + 6] = (sum[base + 6] or 0) + interval_us * (row.still or 0)
end

-- Adds a frame to a camera's live sums; returns its weight. Frames that follow each other in time
-- never come to more than LIVE_US and the last one's interval.
local function add_frame_live(row, camera)
  local weight = 2 ^ ((row[5] - camera.t) / arg.half_life_ms)
  local time, left = row[6] * weight, math.max(0, LIVE_US + row[6] - camera.obs)
  if time > left then time, weight = left, left / row[6] end
  if not row.repeated then camera.frames = camera.frames + weight end
  camera.obs = camera.obs + time
  camera.face = camera.face + time * row[7]
  camera.unsure = camera.unsure + time * row[9]
  if #row >= 10 and row[5] > camera.sure_ms then camera.sure_ms = row[5] end
  return weight
end

-- For how long each camera (number) was observed in each bucket so far.
local function observed_before()
  local observed, names = {}, {}
  for c, base in ipairs(arg.camera_bases) do names[c] = fields[base + 2] end
  for b = 1, #arg.bucket_us do
    local stored = redis.call('HMGET', KEYS[first_bucket + b], unpack(names))
    observed[b] = {}
    for c = 1, #names do observed[b][c] = tonumber(stored[c] or 0) or 0 end
  end
  return observed
end

-- What is left of a bucket for a frame: no camera observes a bucket for longer than it is.
local function left_of(observed, b, row)
  return math.max(0, math.min(row[6], arg.bucket_us[b] - observed[b][row[4]]))
end

local function fits(observed, row)
  for _, b in ipairs(arg.slots[row[3]]) do
    if left_of(observed, b, row) < row[6] then return false end
  end
  return true
end

-- Counts a frame whole in its slot, as nearly all are.
local function book_whole(row, sum, us, weight)
  add_frame(row, row[6], sum)
  add_faces(row, row[6], sum, us, weight)
end

-- Counts a frame whole in its slot; or, where its camera claims more time than there is, in each
-- bucket for what is left of that.
local function book_bounded(row, observed, sum, extra)
  local us, whole_frame = new_camera('').us, fits(observed, row)
  if whole_frame then book_whole(row, sum, us, 0) end
  for _, b in ipairs(arg.slots[row[3]]) do
    local left = left_of(observed, b, row)
    if not whole_frame then
      extra[b] = extra[b] or {}
      add_frame(row, left, extra[b])
      add_faces(row, left, extra[b], us, 0)
    end
    observed[b][row[4]] = observed[b][row[4]] + left
  end
end

local function sums_of_slots()
  local sums = {}
  for slot = 1, #arg.slots do sums[slot] = {} end
  return sums
end

-- Sums per slot, field index -> number, and the live sums, of frames that are all counted whole.
local function add_up(letters, live)
  local sums, nowhere = sums_of_slots(), new_camera('')
  for i, row in ipairs(results) do
    if letters[i] == 'c' then
      local camera, weight = nowhere, 0
      if live[row[4]] and now_ms - row[5] <= arg.live_max_age_ms then
        camera = live[row[4]]
        weight = add_frame_live(row, camera)
      end
      book_whole(row, sums[row[3]], camera.us, weight)
    end
  end
  return sums
end

-- Sums per slot, and more of single buckets, where a camera claims more time than there is.
local function add_up_bounded(letters)
  local sums, extra, observed = sums_of_slots(), {}, observed_before()
  for i, row in ipairs(results) do
    if letters[i] == 'c' then book_bounded(row, observed, sums[row[3]], extra) end
  end
  return sums, extra
end

local function add_to(sums, other)
  for field, sum in pairs(other) do sums[field] = (sums[field] or 0) + sum end
end

-- For each bucket the sums of all slots in it. Mostly there is one, and no copy is made.
local function sums_of_buckets(sums, extra)
  local buckets, own = {}, {}
  local function add(b, other)
    if not buckets[b] then
      buckets[b] = other
      return
    end
    if not own[b] then
      local copy = {}
      add_to(copy, buckets[b])
      buckets[b], own[b] = copy, true
    end
    add_to(buckets[b], other)
  end
  for slot, numbers in ipairs(arg.slots) do
    for _, b in ipairs(numbers) do add(b, sums[slot]) end
  end
  for b, other in pairs(extra) do add(b, other) end
  return buckets
end

-- Fields (indices) that say for how long a camera was observed.
local is_observed = {}
for _, base in ipairs(arg.camera_bases) do is_observed[base + 2] = true end

-- Names and sums of the fields that grow, and which of them are observed times.
local function grown(sums)
  local names, added, observed, n = {}, {}, {}, 0
  for field, sum in pairs(sums) do
    if sum > 0 then
      n = n + 1
      names[n], added[n], observed[n] = fields[field], sum, is_observed[field]
    end
  end
  return { names = names, added = added, observed = observed }
end

-- Fields first .. last of bucket b with their new values, for HSET, and whether it had any of them;
-- or nil and what is wrong: TOO_LONG where a camera is observed for longer than the bucket is.
local TOO_LONG = 'too long'
local function new_values(b, grow, first, last)
  local key, longest, known = KEYS[first_bucket + b], arg.bucket_us[b], false
  local stored = redis.call('HMGET', key, unpack(grow.names, first, last))
  local out, n = {}, 0
  for i = first, last do
    local text = stored[i - first + 1]
    local before = tonumber(text or 0)
    if not before then return nil, 'ERR ' .. grow.names[i] .. ' of ' .. key .. ' is not a number' end
    local sum = before + grow.added[i]
    if grow.observed[i] and sum > longest then return nil, TOO_LONG end
    out[n + 1], out[n + 2] = grow.names[i], format('%.0f', sum)
    n, known = n + 2, known or text
  end
  return out, known
end

-- One {bucket, fields and values} for each HSET, and the buckets that are there; or nil and what is
-- wrong.
local function bucket_writes(buckets)
  local writes, cache, there = {}, {}, {}
  for b, sums in ipairs(buckets) do
    local grow = cache[sums] or grown(sums)
    cache[sums] = grow
    for first = 1, #grow.names, CHUNK do
      local values, found = new_values(b, grow, first, math.min(first + CHUNK - 1, #grow.names))
      if not values then return nil, found end
      writes[#writes + 1], there[b] = { b, values }, there[b] or found
    end
  end
  return writes, there
end

-- What the live hash says -------------------------------------------------------------------

-- Cameras as of the newest capture; and the fields of those silent for too long.
local function present(cameras)
  local here, gone, newest = {}, {}, 0
  for _, camera in pairs(cameras) do newest = math.max(newest, camera.t) end
  for name, camera in pairs(cameras) do
    if newest - camera.t > arg.live_max_age_ms then
      gone[#gone + 1] = 'camera:' .. name
    else
      local factor = 2 ^ ((camera.t - newest) / arg.half_life_ms)
      here[#here + 1] = { camera = camera, factor = factor, obs = camera.obs * factor }
      if newest - camera.sure_ms > arg.live_max_age_ms then
        for e = 1, label_count do camera.us[e] = 0 end
      end
    end
  end
  return here, gone, newest
end

-- Faces at once and frames per second, over the cameras with a tenth of the best one's time.
local function people_and_rate(here)
  local best, people, rate = 0, 0, 0
  for _, one in ipairs(here) do best = math.max(best, one.obs) end
  for _, one in ipairs(here) do
    if one.obs > 0 and one.obs * 10 >= best then
      people = math.max(people, one.camera.face / one.camera.obs)
      rate = rate + one.camera.frames * 1e6 / one.camera.obs
    end
  end
  return people, rate
end

-- Share of each expression, and the sure share of the face time.
local function shares_of(here)
  local us, sure, unsure = {}, 0, 0
  for e = 1, label_count do us[e] = 0 end
  for _, one in ipairs(here) do
    unsure = unsure + one.camera.unsure * one.factor
    for e = 1, label_count do
      us[e] = us[e] + one.camera.us[e] * one.factor
      sure = sure + one.camera.us[e] * one.factor
    end
  end
  local shares = {}
  for e = 1, label_count do shares[e] = sure > 0 and us[e] / sure or 0 end
  return shares, sure + unsure > 0 and sure / (sure + unsure) or 0
end

-- The expression shown most, which changes only by a margin, so that it does not flicker.
local function dominant_of(shares, before)
  local top, held = 1, 0
  for e = 1, label_count do
    if shares[e] > shares[top] then top = e end
    if labels[e] == before then held = shares[e] end
  end
  if shares[top] == 0 then return '' end
  if held > 0 and shares[top] < held + arg.margin then return before end
  return labels[top]
end

local function rounded(number)
  return tonumber(format('%.4f', number)) + 0 -- no negative zero
end

local function summary(here, newest, dominant_before)
  local people, rate = people_and_rate(here)
  local shares, sure_share = shares_of(here)
  local valence, named = 0, {}
  for e = 1, label_count do
    valence = valence + shares[e] * arg.valence[e]
    named[labels[e]] = rounded(shares[e])
  end
  return {
    room = arg.room, people = rounded(people), frames_per_s = rounded(rate), shares = named,
    dominant = dominant_of(shares, dominant_before), valence = rounded(valence),
    sure_share = rounded(sure_share), captured_ms = newest, updated_ms = now_ms,
  }
end

-- Field names and values, for HSET.
local function live_values(said, batch)
  local out = {}
  local function put(field, value)
    out[#out + 1] = field
    out[#out + 1] = value
  end
  for field, value in pairs(said) do
    if field == 'captured_ms' or field == 'updated_ms' then
      put(field, whole(value))
    elseif field ~= 'shares' and field ~= 'room' then
      put(field, tostring(value))
    end
  end
  for label, share in pairs(said.shares) do put('share:' .. label, tostring(share)) end
  for _, camera in pairs(batch) do put('camera:' .. camera.name, packed(camera)) end
  return out
end

-- Writes -----------------------------------------------------------------------------------

local function mark_seen(letters)
  local marked = {}
  for i, row in ipairs(results) do
    if letters[i] == 'c' then
      redis.call('SETBIT', KEYS[first_seen + row[1]], row[2], 1)
      marked[row[1]] = true
    end
  end
  -- From now on by Redis' clock: ours may be wrong, and a life that it cut short would count twice.
  for bitmap in pairs(marked) do
    redis.call('EXPIRE', KEYS[first_seen + bitmap], arg.seen_ttl_s)
  end
end

local function unmark_seen(letters)
  for i, row in ipairs(results) do
    if letters[i] == 'c' then redis.pcall('SETBIT', KEYS[first_seen + row[1]], row[2], 0) end
  end
end

-- A bucket that was there has been given its end by the script that made it.
local function end_buckets(there)
  for b, expire_s in ipairs(arg.bucket_expire_s) do
    if not there[b] then redis.call('EXPIREAT', KEYS[first_bucket + b], expire_s) end
  end
end

-- Marks and books, or neither: a user may have the right to SETBIT and lack the next one.
local function count(plan)
  local is_booked = false
  local is_done, problem = pcall(function()
    mark_seen(plan.letters)
    end_buckets(plan.there) -- of buckets that are not there yet: changes nothing, but shows the right
    for _, write in ipairs(plan.writes) do
      redis.call('HSET', KEYS[first_bucket + write[1]], unpack(write[2]))
      is_booked = true
    end
  end)
  if not is_done then
    if not is_booked then unmark_seen(plan.letters) end
    error(problem, 0)
  end
  end_buckets(plan.there)
end

local function publish(said, published_ms)
  if now_ms - published_ms < arg.updates_every_ms and now_ms >= published_ms then return end
  redis.call('HSET', LIVE, 'published_ms', whole(now_ms))
  redis.call('PUBLISH', arg.channel, cjson.encode(said))
end

local function write_live(hash, cameras, ahead, batch)
  local here, gone, newest = present(cameras)
  for _, name in ipairs(ahead) do
    if not cameras[name] then gone[#gone + 1] = 'camera:' .. name end
  end
  local said = summary(here, newest, hash.dominant)
  local values = live_values(said, batch)
  for first = 1, #values, CHUNK do
    redis.call('HSET', LIVE, unpack(values, first, math.min(first + CHUNK - 1, #values)))
  end
  if #gone > 0 then redis.call('HDEL', LIVE, unpack(gone, 1, math.min(#gone, CHUNK))) end
  redis.call('EXPIRE', LIVE, arg.live_ttl_s)
  publish(said, tonumber(hash.published_ms) or 0)
end

-- The whole story ----------------------------------------------------------------------------

local function planned()
  local forgotten_ms, is_future = forgotten_before()
  local letters, any = outcomes(forgotten_ms)
  local plan = { letters = letters, any = any, is_future = is_future }
  if not any then return plan end
  plan.hash, plan.cameras, plan.ahead = read_live()
  plan.batch, plan.any_live = live_of_batch(letters, plan.cameras)
  plan.writes, plan.there = bucket_writes(sums_of_buckets(add_up(letters, plan.batch), {}))
  if plan.there == TOO_LONG then
    plan.writes, plan.there = bucket_writes(sums_of_buckets(add_up_bounded(letters)))
  end
  return plan
end

for _, one in ipairs(arg.still) do results[one[1]].still = one[2] end
for _, i in ipairs(arg.repeated) do results[i].repeated = true end
local is_read, plan = pcall(planned)
if not is_read then
  local problem = wrong_type()
  if problem then return redis.error_reply(problem) end
  error(plan, 0)
end
if not plan.any then return table.concat(plan.letters) end
if not plan.writes then return redis.error_reply(plan.there) end

count(plan)
if plan.is_future then redis.call('UNLINK', FORGOTTEN) end
if plan.any_live then write_live(plan.hash, plan.cameras, plan.ahead, plan.batch) end
return table.concat(plan.letters)
