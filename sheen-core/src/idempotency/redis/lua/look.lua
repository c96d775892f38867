return { 'free' }
