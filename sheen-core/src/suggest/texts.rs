//! The texts, in the order of the wire's table, which is that of falling confidence.

use super::types::{Category, Suggestion};

/// The language's own words for one rule.
struct Words {
    title: &'static str,
    description: &'static str,
    prompt: &'static str,
}

const fn row(id: &'static str, confidence: f64, category: Category, words: Words) -> Suggestion {
    Suggestion {
        id,
        title: words.title,
        description: words.description,
        category,
        prompt: words.prompt,
        confidence,
    }
}

const fn table(words: [Words; 8]) -> [Suggestion; 8] {
    use Category::{Accessibility, Feature, Performance, Seo, Ui};
    let [
        pricing,
        contact,
        hours,
        booking,
        payment,
        seo,
        analytics,
        accessibility,
    ] = words;
    [
        row("qs-pricing", 0.9, Feature, pricing),
        row("qs-contact", 0.9, Feature, contact),
        row("qs-hours", 0.85, Ui, hours),
        row("qs-booking", 0.8, Feature, booking),
        row("qs-payment", 0.8, Feature, payment),
        row("qs-seo", 0.7, Seo, seo),
        row("qs-analytics", 0.6, Performance, analytics),
        row("qs-accessibility", 0.6, Accessibility, accessibility),
    ]
}

pub(super) static EN: [Suggestion; 8] = table([
    Words {
        title: "Show your prices",
        description: "Visitors decide faster when they see what each service costs.",
        prompt: "Add a pricing section that lists each service with its price.",
    },
    Words {
        title: "Add contact details",
        description: "Let visitors reach you and find the way to your door.",
        prompt: "Add a contact section with phone, email, address, a map and a contact form.",
    },
    Words {
        title: "Show opening hours",
        description: "Tell visitors when you are open, and whether you are open now.",
        prompt: "Add the opening hours of each day and highlight today's.",
    },
    Words {
        title: "Take bookings online",
        description: "Let customers choose a time themselves, day or night.",
        prompt: "Add a booking page where visitors choose a service, a date and a time.",
    },
    Words {
        title: "Accept online payments",
        description: "Let customers pay for your products on the site.",
        prompt: "Add a shopping cart and a checkout with online payment.",
    },
    Words {
        title: "Be found in search",
        description: "Help search engines show your site to people near you.",
        prompt: "Add page titles, meta descriptions, structured data and a sitemap.",
    },
    Words {
        title: "Measure your visits",
        description: "Learn which pages people read and where they leave.",
        prompt: "Add privacy-friendly analytics for page views and button clicks.",
    },
    Words {
        title: "Make it accessible",
        description: "Let everyone use your site, also by keyboard and screen reader.",
        prompt: "Improve accessibility: alternative texts, contrast, focus order and labels.",
    },
]);

pub(super) static AR: [Suggestion; 8] = table([
    Words {
        title: "اعرض أسعارك",
        description: "يتخذ الزوار قرارهم أسرع عندما يعرفون سعر كل خدمة.",
        prompt: "أضف قسمًا للأسعار يعرض كل خدمة مع سعرها.",
    },
    Words {
        title: "أضف بيانات التواصل",
        description: "سهّل على الزوار التواصل معك والوصول إلى مكانك.",
        prompt: "أضف قسمًا للتواصل يضم رقم الهاتف والبريد الإلكتروني والعنوان وخريطة ونموذج مراسلة.",
    },
    Words {
        title: "اعرض ساعات العمل",
        description: "أخبر الزوار بمواعيد عملك، وهل أنت مفتوح الآن.",
        prompt: "أضف ساعات العمل لكل يوم مع إبراز ساعات اليوم الحالي.",
    },
    Words {
        title: "استقبل الحجوزات عبر الموقع",
        description: "دع عملاءك يختارون الموعد المناسب لهم في أي وقت.",
        prompt: "أضف صفحة حجز يختار فيها الزائر الخدمة والتاريخ والوقت.",
    },
    Words {
        title: "اقبل الدفع الإلكتروني",
        description: "دع عملاءك يدفعون ثمن منتجاتك على الموقع مباشرة.",
        prompt: "أضف سلة تسوق وصفحة لإتمام الشراء مع الدفع الإلكتروني.",
    },
    Words {
        title: "اظهر في نتائج البحث",
        description: "ساعد محركات البحث على عرض موقعك لمن هم بالقرب منك.",
        prompt: "أضف عناوين للصفحات وأوصافًا تعريفية وبيانات منظمة وخريطة للموقع.",
    },
    Words {
        title: "تابع زيارات موقعك",
        description: "اعرف أي الصفحات يقرؤها الزوار وأين يغادرون.",
        prompt: "أضف أداة تحليلات تحترم الخصوصية لقياس زيارات الصفحات ونقرات الأزرار.",
    },
    Words {
        title: "اجعل موقعك متاحًا للجميع",
        description: "مكّن الجميع من استخدام موقعك، حتى بلوحة المفاتيح أو قارئ الشاشة.",
        prompt: "حسّن إمكانية الوصول: النصوص البديلة والتباين وترتيب التنقل وتسميات الحقول.",
    },
]);
