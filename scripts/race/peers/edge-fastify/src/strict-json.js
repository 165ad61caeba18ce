// JSON.parse keeps the last of two members with one name; an order with two amounts is none.

/** A parser that refuses what the given one would take silently. */
export function strictJson (parse) {
  return (request, text, done) =>
    parse(request, text, (error, value) => {
      if (error || writtenMembers(text) === keptMembers(value)) {
        done(error, value)
      } else {
        done(Object.assign(new Error('a member is there twice'), { statusCode: 400 }))
      }
    })
}

/** Colons outside of strings: in a valid text, one for each member. */
function writtenMembers (text) {
  let members = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === 0x22) {
      inString = !inString
    } else if (unit === 0x5c) {
      at++
    } else if (unit === 0x3a && !inString) {
      members++
    }
  }
  return members
}

function keptMembers (value) {
  if (typeof value !== 'object' || value === null) {
    return 0
  }
  let members = 0
  for (const name in value) {
    members += keptMembers(value[name]) + 1
  }
  return Array.isArray(value) ? members - value.length : members
}
